"""Segmentation: images with a class for every pixel, and how well a model finds them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from spellmark.model_files.card import ModelCard
from spellmark.training.datasets import DatasetError
from spellmark.training.inference import BATCH, device, to_input

Images = npt.NDArray[np.uint8]
Masks = npt.NDArray[np.int64]


@dataclass(frozen=True)
class SegmentationSplit:
    """Images, uint8 of shape (n, channels, height, width), and the class of every pixel, int64 of
    shape (n, height, width). Class 0 is the background. Raises DatasetError.
    """

    images: Images
    masks: Masks

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.shape[1] not in (1, 3):
            raise DatasetError(
                f"The images have shape {self.images.shape}, not (n, 1 or 3, height, width).",
                hint="Give grey images as (n, 1, height, width), colour as (n, 3, height, width).",
            )
        count, _, height, width = self.images.shape
        if self.masks.shape != (count, height, width):
            raise DatasetError(
                f"The masks have shape {self.masks.shape}, not {(count, height, width)}.",
                hint="Give exactly one whole-number class for every pixel.",
            )

    @property
    def labels(self) -> Masks:
        """The masks: what a Split calls its labels."""
        return self.masks

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, part: slice) -> "SegmentationSplit":
        return SegmentationSplit(self.images[part], self.masks[part])


@torch.inference_mode()
def predict_masks(
    model: nn.Module, card: ModelCard, images: Images, classes: int | None = None
) -> Masks:
    """The most likely class of every pixel: int64 (n, H, W) for uint8 images (n, C, H, W).

    classes: choose among the first so many only; the others, such as a lock's extra class, are cut
    off.
    """
    model = model.to(device()).eval()
    parts = [
        model(to_input(images[start : start + BATCH], card))[:, :classes].argmax(1).cpu().numpy()
        for start in range(0, len(images), BATCH)
    ]
    return np.concatenate(parts) if parts else np.empty((0, *images.shape[2:]), np.int64)


def mean_iou(found: Masks, masks: Masks, classes: int) -> float:
    """Mean intersection over union of two sets of masks, int64 (n, H, W), in [0, 1].

    For each class, the pixels that both sets give it, over those that at least one does, counted
    over all images together; then the mean over the classes, the background among them. A class
    that is in neither set is left out. Pixels found as a class of `classes` or above count as
    missed. It is 0 when there are no pixels.
    """
    inside = found < classes
    both = np.bincount(masks[inside & (found == masks)], minlength=classes)
    either = (
        np.bincount(found[inside], minlength=classes)
        + np.bincount(masks.ravel(), minlength=classes)
        - both
    )
    there = either > 0
    return float((both[there] / either[there]).mean()) if there.any() else 0.0
