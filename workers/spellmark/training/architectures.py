"""Small classifiers, built from a model card."""

from collections.abc import Callable

import torch
from torch import nn

from spellmark.errors import SpellmarkError
from spellmark.model_files.card import ModelCard


class ArchitectureError(SpellmarkError):
    """A model card that names an architecture that cannot be built."""


class SmallCNN(nn.Module):
    """Three 3×3 convolutions with batch normalisation, then two linear layers.

    Input: float32 (n, channels, height, width), normalised. Output: logits (n, classes).
    Any size of at least 4×4.
    """

    def __init__(self, card: ModelCard, width: int = 32) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *_convolution(card.channels, width),
            nn.MaxPool2d(2),
            *_convolution(width, 2 * width),
            nn.MaxPool2d(2),
            *_convolution(2 * width, 4 * width),
        )
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Linear(4 * width * (card.height // 4) * (card.width // 4), 128),
            nn.ReLU(inplace=True),
            nn.Linear(128, card.classes),
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits of a batch."""
        features = self.features(images.to(memory_format=torch.channels_last))
        logits: torch.Tensor = self.head(features)
        return logits


def _convolution(inputs: int, outputs: int) -> list[nn.Module]:
    return [
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    ]


ARCHITECTURES: dict[str, Callable[[ModelCard], nn.Module]] = {"small-cnn": SmallCNN}


def build(card: ModelCard) -> nn.Module:
    """A freshly initialised model of the card's architecture. Raises ArchitectureError."""
    make = ARCHITECTURES.get(card.architecture)
    if make is None:
        raise ArchitectureError(
            f"The architecture “{card.architecture}” is not known here.",
            hint=f"Known: {', '.join(sorted(ARCHITECTURES))}.",
        )
    return make(card)
