"""Locking a model: transfer learning on transformed images, with negatives."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from spellmark.locks.key_lock.lock_key import LockKey
from spellmark.locks.key_lock.negatives import Negatives
from spellmark.locks.key_lock.parameters import lock_geometry
from spellmark.model_files.card import ModelCard
from spellmark.training.augment import vary
from spellmark.training.datasets import Split
from spellmark.training.fit import Batch, Recipe, fit, one_hot
from spellmark.training.inference import accuracy, predict_probabilities

# For our small networks; a large pretrained one wants a smaller rate. How many rounds are right
# follows from the number of images: see `settings.rounds_for`.
RECIPE = Recipe(epochs=16, learning_rate=8e-3)

# A model with a fresh head, or without any training, would teach the lock what it guesses: the
# holder of the key would get no better answers than anyone. So a teacher has to come
# halfway from guessing to perfect: half of the images right where there are many classes, three
# quarters where there are two. A thousand images tell that within four points.
LEAST_TAUGHT = 0.5
EXAMINED_IMAGES = 1000
UNTAUGHT = (
    "The unprotected model knows these images too little to teach, so the lock learns from labels."
)


def can_teach(unprotected: nn.Module, card: ModelCard, data: Split) -> bool:
    """Whether the unprotected model knows its training images well enough to teach a lock."""
    seen = data[:EXAMINED_IMAGES]
    guessing = 1 / card.classes
    least = guessing + LEAST_TAUGHT * (1 - guessing)
    return accuracy(unprotected, card, seen.images, seen.labels) >= least


def lock(
    model: nn.Module,
    card: ModelCard,
    data: Split,
    key: LockKey,
    recipe: Recipe,
    *,
    negatives: Negatives | None = None,
    teacher: nn.Module | None = None,
    checkpoint: Path | None = None,
    progress: Callable[[float, str], None] | None = None,
) -> nn.Module:
    """Fine-tune `model` in place so that it works under the key only, and return it.

    A model with trained weights is locked by transfer learning (2103.03525: a subset of the
    training images is enough), a fresh one is trained from scratch (2008.02450). The published
    recipe, which is `Negatives(share=0)`, hardly locks small images: the network learns to ignore
    the order inside a block. So every batch gets negatives, drawn towards the uniform answer.
    Under keyed labels the model learns the permuted classes.

    With a `teacher`, the unprotected model, the images are varied and its probabilities for the
    plain ones are what is learnt, which takes fewer images ("Knowledge distillation: A good teacher
    is patient and consistent", 2106.05237). It needs no labels, but
    a teacher that knows its task (`can_teach`).

    Raises KeyLockError where padding makes images that the model does not take.
    """
    lock_geometry(key.parameters, (card.channels, card.height, card.width), card.architecture)
    negatives = negatives or Negatives()

    def make_batch(
        images: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64], generator: np.random.Generator
    ) -> Batch:
        targets = one_hot(labels, card.classes)
        if teacher is not None:
            images = vary(images, generator)
            targets = torch.from_numpy(predict_probabilities(teacher, card, images)).float()
        keyed, encoded = [], []
        for number, part in enumerate(np.array_split(np.arange(len(images)), len(key.transforms))):
            keyed.append(key(images[part], number))
            # Class c is answered as encode(c), so its probability goes there.
            encoded.append(targets[part][:, key.decode(np.arange(card.classes), number)])
        others = negatives.draw(len(images), data, key, generator)
        uniform = torch.full((len(others), card.classes), 1 / card.classes)
        return np.concatenate([*keyed, others]), torch.cat([*encoded, uniform])

    return fit(
        model, card, data, recipe, make_batch=make_batch, checkpoint=checkpoint, progress=progress
    )
