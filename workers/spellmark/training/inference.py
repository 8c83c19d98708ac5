"""From uint8 images to answers: the one place where images are normalised."""

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from spellmark.model_files.card import ModelCard

BATCH = 512


def device() -> torch.device:
    """CUDA where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def to_input(images: npt.NDArray[np.uint8], card: ModelCard) -> torch.Tensor:
    """Scale uint8 (n, C, H, W) to [0, 1] and normalise by the card's mean and deviation."""
    pixels = torch.from_numpy(np.array(images, copy=True)).to(device()).float().div_(255)
    shape = (1, card.channels, 1, 1)
    mean = torch.tensor(card.mean, device=pixels.device).view(shape)
    std = torch.tensor(card.std, device=pixels.device).view(shape)
    return pixels.sub_(mean).div_(std)


@torch.inference_mode()
def predict_probabilities(
    model: nn.Module, card: ModelCard, images: npt.NDArray[np.uint8]
) -> npt.NDArray[np.float64]:
    """Class probabilities, float64 (n, classes), of uint8 images (n, C, H, W)."""
    model = model.to(device()).eval()
    parts = [
        torch.softmax(model(to_input(images[start : start + BATCH], card)), 1).cpu().numpy()
        for start in range(0, len(images), BATCH)
    ]
    return np.concatenate(parts).astype(np.float64) if parts else np.empty((0, card.classes))


def predict_labels(
    model: nn.Module, card: ModelCard, images: npt.NDArray[np.uint8]
) -> npt.NDArray[np.int64]:
    """The most likely class, int64 (n,), of uint8 images (n, C, H, W)."""
    labels: npt.NDArray[np.int64] = predict_probabilities(model, card, images).argmax(1)
    return labels


def accuracy(
    model: nn.Module,
    card: ModelCard,
    images: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.int64],
) -> float:
    """The share of images whose most likely class is their label, in [0, 1]."""
    return float((predict_labels(model, card, images) == labels).mean())
