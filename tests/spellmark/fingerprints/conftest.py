"""A small owner's model with thieves and innocents, trained once for all fingerprints."""

from copy import deepcopy
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from spellmark.model_files.card import ModelCard
from spellmark.training.architectures import fresh
from spellmark.training.datasets import Dataset, load
from spellmark.training.fit import Recipe, fit

CARD = ModelCard(
    architecture="small-resnet", classes=10, channels=1, height=28, width=28, config={"width": 8}
)


@dataclass
class Cast:
    """The owner's model, one that was fine-tuned from it, and innocents of the same recipe."""

    data: Dataset
    owner: nn.Module
    fine_tuned: nn.Module
    innocents: list[nn.Module]


@pytest.fixture(scope="session")
def cast() -> Cast:
    """Trained in some seconds on 4,000 images."""
    data = load("fashion-mnist")
    mine, theirs = data.train[:4000], data.train[4000:8000]

    def trained(part, seed, model=None, **choices) -> nn.Module:
        recipe = Recipe(**{"epochs": 2, "seed": seed} | choices)
        return fit(model or fresh(CARD, seed), CARD, part, recipe)

    owner = trained(mine, 0)
    tuned = trained(theirs, 9, deepcopy(owner), epochs=1, learning_rate=1e-3)
    return Cast(data, owner, tuned, [trained(mine, 1), trained(mine, 2), trained(theirs, 3)])


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Small networks are fastest on one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
