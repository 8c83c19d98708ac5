"""A network that is small enough to learn from a few images, and changes images as it likes."""

import numpy as np
import torch
from torch import nn

from spellmark.attacks.attack import Images
from spellmark.attacks.front import Front, PixelMap

WIDTH = 16


class ConvolutionFront(Front):
    """A scale and a bias for every value, and two convolutions that add to it.

    It begins as the identity.
    """

    def __init__(self, shape: tuple[int, int, int], generator: np.random.Generator) -> None:
        super().__init__()
        channels = shape[0]
        self.map = PixelMap(shape)
        with torch.random.fork_rng():
            torch.manual_seed(int(generator.integers(2**31)))
            first = nn.Conv2d(channels, WIDTH, 3, padding=1)
            last = nn.Conv2d(WIDTH, channels, 3, padding=1)
        for part in last.parameters():
            nn.init.zeros_(part)
        self.convolutions = nn.Sequential(first, nn.ReLU(), last)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """The changed pixels, of the same shape."""
        mapped = self.map(pixels)
        changed: torch.Tensor = mapped + self.convolutions(mapped)
        return changed


def as_bytes(pixels: torch.Tensor) -> Images:
    """Pixels in [0, 1], rounded: uint8 (n, C, H, W)."""
    rounded: Images = pixels.mul(255).round_().clamp_(0, 255).byte().cpu().numpy()
    return rounded
