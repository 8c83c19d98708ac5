"""The models of the story: the owner's, the thief's copy and an innocent one."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from spellmark.model_files.card import ModelCard
from spellmark.training import architectures, datasets, weights
from spellmark.training.fit import Recipe, fit
from spellmark.training.inference import accuracy

Show = Callable[[float, str], None]

CARD = ModelCard(
    architecture="small-resnet",
    classes=10,
    channels=1,
    height=28,
    width=28,
    label_names=(
        "T-shirt", "trouser", "pullover", "dress", "coat",
        "sandal", "shirt", "sneaker", "bag", "ankle boot",
    ),
    description="A small classifier of clothes.",
    mean=(0.286,),
    std=(0.353,),
)  # fmt: skip


@dataclass(frozen=True)
class Sizes:
    """How much of everything; the tests tell the story with less."""

    owner_images: int = 8000
    owner_epochs: int = 8
    lock_images: int = 8000
    lock_epochs: int = 16
    lock_seeds: int = 1
    wrong_keys: int = 1000
    spell_images: int = 6000
    spell_epochs: int = 6
    wrong_spells: int = 100
    thief_images: int = 1000
    thief_epochs: int = 3
    innocent_epochs: int = 5
    probes: int = 50
    alpha: float = 0.001


def train_owner(data: datasets.Dataset, sizes: Sizes, path: Path, show: Show) -> float:
    """Train the owner's model on the first part of the data; its test accuracy."""
    torch.manual_seed(0)
    model = fit(
        architectures.build(CARD),
        CARD,
        data.train[: sizes.owner_images],
        Recipe(epochs=sizes.owner_epochs, learning_rate=3e-3),
        progress=show,
    )
    weights.save(model, CARD, path)
    return accuracy(model, CARD, data.test.images, data.test.labels)


def steal(locked: Path, data: datasets.Dataset, sizes: Sizes, path: Path, show: Show) -> float:
    """What a thief without the key does: fine-tune the stolen weights on images of their own."""
    model, card = weights.load(locked)
    own = data.train[sizes.owner_images : sizes.owner_images + sizes.thief_images]
    fit(model, card, own, Recipe(epochs=sizes.thief_epochs, learning_rate=5e-4), progress=show)
    weights.save(model, replace(card, description="Ours, really."), path)
    return accuracy(model, card, data.test.images, data.test.labels)


def train_innocent(data: datasets.Dataset, sizes: Sizes, path: Path, show: Show) -> float:
    """A model of the same kind for the same task, trained from scratch on other images."""
    torch.manual_seed(1)
    model = fit(
        architectures.build(CARD),
        CARD,
        data.train[sizes.owner_images :],
        Recipe(epochs=sizes.innocent_epochs, learning_rate=3e-3, seed=1),
        progress=show,
    )
    weights.save(model, CARD, path)
    return accuracy(model, CARD, data.test.images, data.test.labels)
