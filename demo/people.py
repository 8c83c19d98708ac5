"""The models of the story: the owner's, the copies of two thieves, and an innocent one."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import numpy as np
import torch

from spellmark.model_files.card import ModelCard
from spellmark.training import architectures, datasets, weights
from spellmark.training.fit import Recipe, fit
from spellmark.training.inference import accuracy

Show = Callable[[float, str], None]
ASKED_AT_ONCE = 200
# To so many digits the story's servers round their answers.
DECIMALS = 6

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
    copy_images: int = 4000
    copy_epochs: int = 8
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


def copy_api(url: str, data: datasets.Dataset, sizes: Sizes, path: Path, show: Show) -> float:
    """What a thief without the weights does: train a network on nothing but the API's answers."""
    images = data.train[sizes.owner_images :][: sizes.copy_images].images
    answers = []
    for start in range(0, len(images), ASKED_AT_ONCE):
        answers.append(_ask(url, images[start : start + ASKED_AT_ONCE]))
        show(start / len(images) / 2, f"asked about {start:,} of {len(images):,} images")
    targets = torch.from_numpy(np.concatenate(answers)).float()
    torch.manual_seed(2)
    model = fit(
        architectures.build(CARD),
        CARD,
        # Numbers of images in the place of labels, to find their answers by.
        datasets.Split(images, np.arange(len(images))),
        Recipe(epochs=sizes.copy_epochs, seed=2),
        make_batch=lambda part, numbers, _: (part, targets[numbers]),
        progress=lambda share, step: show((1 + share) / 2, step),
    )
    weights.save(model, replace(CARD, description="All our own work."), path)
    return accuracy(model, CARD, data.test.images, data.test.labels)


def _ask(url: str, images: np.ndarray) -> np.ndarray:
    tensor = {
        "name": "input",
        "shape": list(images.shape),
        "datatype": "UINT8",
        "data": images.ravel().tolist(),
    }
    address = f"{url}/v2/models/classifier/infer"
    response = httpx.post(address, json={"inputs": [tensor]}, timeout=60).raise_for_status()
    output = response.json()["outputs"][0]
    return np.array(output["data"]).reshape(output["shape"])
