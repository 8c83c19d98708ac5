"""Small networks that train in minutes on a CPU."""

import torch
from torch import nn

from spellmark.model_files.card import ModelCard


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


class SmallResNet(nn.Module):
    """Two convolutions that each halve the image, a residual one, then two linear layers.

    Trains about three times as fast on a CPU as SmallCNN, about as accurately: it pools before it
    normalises, so that little is done at full size.

    Input: float32 (n, channels, height, width), normalised. Output: logits (n, classes).
    Any size of at least 4×4.
    """

    def __init__(self, card: ModelCard, width: int = 16) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            *_halving(card.channels, width),
            *_halving(width, 3 * width),
        )
        self.residual = nn.Sequential(*_convolution(3 * width, 3 * width))
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Linear(3 * width * (card.height // 4) * (card.width // 4), 128),
            nn.ReLU(inplace=True),
            nn.Linear(128, card.classes),
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits of a batch."""
        features = self.stem(images.to(memory_format=torch.channels_last))
        logits: torch.Tensor = self.head(features + self.residual(features))
        return logits


class SmallMLP(nn.Module):
    """Two hidden linear layers over all pixels, without any notion of where a pixel lies.

    Input: float32 (n, channels, height, width), normalised. Output: logits (n, classes).
    Any size.
    """

    def __init__(self, card: ModelCard, width: int = 256) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Flatten(),
            nn.Linear(card.channels * card.height * card.width, width),
            nn.ReLU(inplace=True),
            nn.Linear(width, width),
            nn.ReLU(inplace=True),
        )
        self.head = nn.Linear(width, card.classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits of a batch."""
        logits: torch.Tensor = self.head(self.body(images))
        return logits


class SmallUNet(nn.Module):
    """A U-Net (1505.04597) of two scales, for segmentation.

    Pixels are folded into channels first, two by two, so that nothing is done at full size.

    Input: float32 (n, channels, height, width), normalised. Output: logits of every pixel
    (n, classes, height, width). Sides are multiples of 4.
    """

    def __init__(self, channels: int, classes: int, width: int = 24) -> None:
        super().__init__()
        self.fine = nn.Sequential(
            nn.PixelUnshuffle(2),
            *_convolution(4 * channels, width),
            *_convolution(width, width),
        )
        self.coarse = nn.Sequential(
            nn.MaxPool2d(2),
            *_convolution(width, 2 * width),
            *_convolution(2 * width, 3 * width),
            *_convolution(3 * width, 2 * width),
            nn.Upsample(scale_factor=2),
        )
        self.head = nn.Sequential(
            *_convolution(3 * width, width),
            nn.Conv2d(width, 4 * classes, 1),
            nn.PixelShuffle(2),
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits of a batch."""
        fine = self.fine(images.to(memory_format=torch.channels_last))
        logits: torch.Tensor = self.head(torch.cat([fine, self.coarse(fine)], 1))
        return logits


def _halving(inputs: int, outputs: int) -> list[nn.Module]:
    convolution, normalisation, activation = _convolution(inputs, outputs)
    return [convolution, nn.MaxPool2d(2), normalisation, activation]


def _convolution(inputs: int, outputs: int) -> list[nn.Module]:
    return [
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    ]
