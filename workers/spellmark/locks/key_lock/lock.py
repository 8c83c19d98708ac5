"""Locking a model: transfer learning on transformed images, with negatives."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from spellmark.locks.key_lock.transforms import Shuffle
from spellmark.model_files.card import ModelCard
from spellmark.training.datasets import Split
from spellmark.training.fit import Batch, Recipe, fit, one_hot

WRONG_KEYS_A_BATCH = 8


def lock(
    model: nn.Module,
    card: ModelCard,
    data: Split,
    transform: Shuffle,
    recipe: Recipe,
    *,
    checkpoint: Path | None = None,
    progress: Callable[[float, str], None] | None = None,
) -> nn.Module:
    """Fine-tune `model` in place so that it works on transformed images only.

    The published recipe (2103.03525: fine-tune on transformed images) hardly locks small images:
    the network learns to ignore the block order. So every batch gets as many negatives as images,
    plain ones and ones under random keys, drawn towards the uniform answer.
    """

    def make_batch(
        images: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64], generator: np.random.Generator
    ) -> Batch:
        negatives = data.images[generator.integers(len(data), size=len(images))].copy()
        keyed = len(negatives) // 2
        for part in np.array_split(np.arange(keyed), WRONG_KEYS_A_BATCH):
            wrong = Shuffle.from_key(generator.bytes(32), transform.geometry)
            negatives[part] = wrong(negatives[part])
        uniform = torch.full((len(negatives), card.classes), 1 / card.classes)
        return (
            np.concatenate([transform(images), negatives]),
            torch.cat([one_hot(labels, card.classes), uniform]),
        )

    return fit(
        model, card, data, recipe, make_batch=make_batch, checkpoint=checkpoint, progress=progress
    )
