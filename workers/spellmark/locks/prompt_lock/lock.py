"""Locking a model with a spell: fine-tuning on edited images, with negatives."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from spellmark.locks.prompt_lock.negatives import Negatives
from spellmark.locks.prompt_lock.parameters import LEAST_STRENGTH
from spellmark.locks.prompt_lock.policies import NONE
from spellmark.locks.prompt_lock.prompt_key import PromptKey
from spellmark.locks.prompt_lock.strength import require_strength
from spellmark.model_files.card import ModelCard
from spellmark.training.datasets import Split
from spellmark.training.fit import Batch, Recipe, fit, one_hot
from spellmark.training.inference import predict_probabilities
from spellmark.training.segmentation import SegmentationSplit

Images = npt.NDArray[np.uint8]

RECIPE = Recipe(epochs=12, learning_rate=4e-3)
CHUNK = 256
# Of the time a lock takes, about how much goes into edits of the small editor.
EDITING_SHARE = 0.3


def lock(
    model: nn.Module,
    card: ModelCard,
    data: Split | SegmentationSplit,
    key: PromptKey,
    recipe: Recipe,
    *,
    negatives: Negatives | None = None,
    least_strength: float = LEAST_STRENGTH,
    teacher: nn.Module | None = None,
    checkpoint: Path | None = None,
    progress: Callable[[float, str], None] | None = None,
) -> nn.Module:
    """Fine-tune `model` in place so that it works under the spell only, and return it.

    After ModelLock (2405.16285), with negatives of our own: as published, strong edits lock weakly
    and weak ones not at all. Under keyed labels the model learns the permuted classes. With the
    `extra-class` policy `card` has one class more than the key, its last. A key whose editor is a
    CachedEditor edits once only, and takes up where it was stopped. Segmenters are locked likewise,
    pixel by pixel (see `segmentation`).

    With a `teacher`, the unprotected model, its probabilities for the plain images are what is
    learnt for the edited ones, in place of the labels.

    An edit that moves the images by less than `least_strength` (see `strength`) is refused with a
    PromptLockError; 0 locks under any. Progress begins with what there is to be cautious of.
    """
    show, negatives = progress or (lambda share, text: None), negatives or Negatives()
    found = require_strength(key, data.images, least_strength)
    for caution in (found.caution, found.caution_alone if negatives.policy == NONE else ""):
        if caution:
            show(0, caution)
    edited = _edited(data.images, key, lambda share, text: show(share * EDITING_SHARE / 2, text))
    answers = _answers(data, key, card, teacher)
    pool = negatives.prepare(
        data.images,
        key,
        np.random.default_rng(recipe.seed),
        lambda share, text: show((1 + share) * EDITING_SHARE / 2, text),
    )

    def make_batch(
        images: Images, numbers: npt.NDArray[np.int64], generator: np.random.Generator
    ) -> Batch:
        others = pool.draw(len(images), generator)
        targets = [
            answers(numbers),
            pool.targets(len(others), card.classes, generator, data.labels.shape[1:]),
        ]
        return np.concatenate([images, others]), torch.cat(targets)

    return fit(
        model,
        card,
        # In place of labels the number of each image: its answers are looked up.
        Split(edited, np.arange(len(data))),
        recipe,
        make_batch=make_batch,
        checkpoint=checkpoint,
        progress=lambda share, text: show(EDITING_SHARE + share * (1 - EDITING_SHARE), text),
    )


def _edited(images: Images, key: PromptKey, progress: Callable[[float, str], None]) -> Images:
    """The images under the key, each under one of its sub-keys."""
    edited = np.empty_like(images)
    of = _subkeys(np.arange(len(images)), key)
    done = 0
    for j in range(len(key.transforms)):
        mine = np.flatnonzero(of == j)
        for start in range(0, len(mine), CHUNK):
            chosen = mine[start : start + CHUNK]
            edited[chosen] = key(images[chosen], j)
            done += len(chosen)
            progress(done / len(images), f"{done:,} of {len(images):,} images edited")
    return edited


def _subkeys(numbers: npt.NDArray[np.int64], key: PromptKey) -> npt.NDArray[np.int64]:
    """Under which sub-key the images of these numbers are edited."""
    return numbers % len(key.transforms)


def _answers(
    data: Split | SegmentationSplit, key: PromptKey, card: ModelCard, teacher: nn.Module | None
) -> Callable[[npt.NDArray[np.int64]], torch.Tensor]:
    """The locked model's answers to the images of given numbers: float32 (n, card.classes, ...)."""

    def answers(numbers: npt.NDArray[np.int64]) -> torch.Tensor:
        of = _subkeys(numbers, key)
        if teacher is None:
            labels = np.empty_like(data.labels[numbers])
            for j in range(len(key.labels)):
                labels[of == j] = key.encode(data.labels[numbers[of == j]], j)
            return one_hot(labels, card.classes)
        taught = predict_probabilities(teacher, card, data.images[numbers])
        targets = np.zeros((len(numbers), card.classes, *taught.shape[2:]), np.float32)
        for j in range(len(key.labels)):
            # Class c is answered as encode(c), so its probability goes there.
            for c, answer in enumerate(key.encode(np.arange(key.classes), j)):
                targets[of == j, answer] = taught[of == j, c]
        return torch.from_numpy(targets)

    return answers
