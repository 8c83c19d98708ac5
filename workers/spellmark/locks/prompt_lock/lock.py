"""Locking a model with a spell: fine-tuning on edited images, with negatives."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from spellmark.locks.prompt_lock.negatives import Negatives
from spellmark.locks.prompt_lock.prompt_key import PromptKey
from spellmark.model_files.card import ModelCard
from spellmark.training.fit import Batch, Recipe, fit, one_hot
from spellmark.training.segmentation import AnySplit

RECIPE = Recipe(epochs=6, learning_rate=4e-3)
CHUNK = 256
# Of the time a lock takes, about how much goes into edits of the small editor.
EDITING_SHARE = 0.3


def lock(
    model: nn.Module,
    card: ModelCard,
    data: AnySplit,
    key: PromptKey,
    recipe: Recipe,
    *,
    negatives: Negatives | None = None,
    checkpoint: Path | None = None,
    progress: Callable[[float, str], None] | None = None,
) -> nn.Module:
    """Fine-tune `model` in place so that it works under the spell only, and return it.

    After ModelLock (2405.16285), with negatives of our own: as published, strong edits lock weakly
    and weak ones not at all. Under keyed labels the model learns the permuted classes. With the
    `extra-class` policy `card` has one class more than the key, its last. A key whose editor is a
    CachedEditor edits once only, and takes up where it was stopped. Segmenters are locked likewise,
    pixel by pixel (see `segmentation`).
    """
    show = progress or (lambda share, text: None)
    edited = _edited(data, key, lambda share, text: show(share * EDITING_SHARE / 2, text))
    pool = (negatives or Negatives()).prepare(
        data.images,
        key,
        np.random.default_rng(recipe.seed),
        lambda share, text: show((1 + share) * EDITING_SHARE / 2, text),
    )

    def make_batch(
        images: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64], generator: np.random.Generator
    ) -> Batch:
        others = pool.draw(len(images), generator)
        targets = [
            one_hot(labels, card.classes),
            pool.targets(len(others), card.classes, generator, labels.shape[1:]),
        ]
        return np.concatenate([images, others]), torch.cat(targets)

    return fit(
        model,
        card,
        edited,
        recipe,
        make_batch=make_batch,
        checkpoint=checkpoint,
        progress=lambda share, text: show(EDITING_SHARE + share * (1 - EDITING_SHARE), text),
    )


def _edited(data: AnySplit, key: PromptKey, progress: Callable[[float, str], None]) -> AnySplit:
    """The images under the key, each under one of its sub-keys, with the locked model's answers."""
    images, labels = np.empty_like(data.images), np.empty_like(data.labels)
    of = np.arange(len(data)) % len(key.transforms)
    done = 0
    for j in range(len(key.transforms)):
        mine = np.flatnonzero(of == j)
        labels[mine] = key.encode(data.labels[mine], j)
        for start in range(0, len(mine), CHUNK):
            chosen = mine[start : start + CHUNK]
            images[chosen] = key(data.images[chosen], j)
            done += len(chosen)
            progress(done / len(data), f"{done:,} of {len(data):,} images edited")
    return type(data)(images, labels)
