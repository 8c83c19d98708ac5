"""Prompt locks on segmenters: models that give every pixel a class.

As with classifiers (see `lock`), but the answer to a negative is drawn towards the uniform one at
every pixel, and keyed labels permute the classes of the pixels, the background among them. Shapes
follow 2405.16285, whose abstract names segmentation; how it was done there is not known.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import nn

from spellmark.locks.prompt_lock.lock import lock
from spellmark.locks.prompt_lock.negatives import Negatives
from spellmark.locks.prompt_lock.parameters import LEAST_STRENGTH, PromptLockError
from spellmark.locks.prompt_lock.policies import EXTRA
from spellmark.locks.prompt_lock.prompt_key import PromptKey, SpellEdit
from spellmark.locks.prompt_lock.report_card import Marking, PromptReportCard, report_card
from spellmark.model_files.card import ModelCard
from spellmark.training.fit import Recipe
from spellmark.training.segmentation import SegmentationSplit, mean_iou, predict_masks

Images = npt.NDArray[np.uint8]
Masks = npt.NDArray[np.int64]

RECIPE = Recipe(epochs=12, batch=64, learning_rate=1e-2)
# Every pixel of a negative teaches, so fewer of them than with a classifier are enough.
NEGATIVES = Negatives(share=0.2, pool=0.25)
MEAN_IOU = Marking(predict_masks, mean_iou)


def lock_segmenter(
    model: nn.Module,
    card: ModelCard,
    data: SegmentationSplit,
    key: PromptKey,
    recipe: Recipe = RECIPE,
    *,
    negatives: Negatives | None = None,
    least_strength: float = LEAST_STRENGTH,
    teacher: nn.Module | None = None,
    checkpoint: Path | None = None,
    progress: Callable[[float, str], None] | None = None,
) -> nn.Module:
    """Fine-tune `model` in place so that it segments under the spell only, and return it.

    model: float32 (n, C, H, W) to logits (n, card.classes, H, W). `key.classes` counts the classes
    of the pixels; `card` has one more, its last, with the `extra-class` policy. teacher: as a
    rule the unprotected model, whose answers are learnt in place of the masks. Raises
    PromptLockError where the classes do not fit, or the edit is too weak (see `lock`).
    """
    negatives = negatives or NEGATIVES
    needed = key.classes + (negatives.policy == EXTRA)
    if card.classes != needed or data.masks.max(initial=0) >= key.classes:
        raise PromptLockError(
            f"A lock on {key.classes} classes with “{negatives.policy}” negatives takes a model of "
            f"{needed} classes, and masks of {key.classes}.",
            hint="Open the key for as many classes as pixels can have, background included.",
        )
    return lock(
        model, card, data, key, recipe,
        negatives=negatives, least_strength=least_strength, teacher=teacher, checkpoint=checkpoint,
        progress=progress,
    )  # fmt: skip


def segmentation_card(
    locked: nn.Module,
    unprotected: nn.Module,
    card: ModelCard,
    test: SegmentationSplit,
    key: PromptKey,
    near: Sequence[SpellEdit],
    *,
    wrong_keys: int = 100,
    wrong_key_images: int = 100,
    seed: int = 0,
    progress: Callable[[float, str], None] | None = None,
) -> PromptReportCard:
    """The report card of a locked segmenter, in mean IoU (see `mean_iou` and `report_card`)."""
    return report_card(
        locked, unprotected, card, test, key, near,
        wrong_keys=wrong_keys, wrong_key_images=wrong_key_images, seed=seed, marking=MEAN_IOU,
        progress=progress,
    )  # fmt: skip


@dataclass(frozen=True)
class UnlockedSegmenter:
    """A locked segmenter with its key: masks for plain images."""

    model: nn.Module
    card: ModelCard
    key: PromptKey = field(repr=False)

    def __call__(self, images: Images) -> Masks:
        """The class of every pixel: int64 (n, H, W) for uint8 (n, C, H, W), as they are."""
        answers = predict_masks(self.model, self.card, self.key(images), self.key.classes)
        return self.key.decode(answers)
