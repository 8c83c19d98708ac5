"""A small guarded API to be robbed: eight by eight pixels, its owner's model trained in seconds."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from torch import nn

from spellmark.attacks.attack import Answer
from spellmark.attacks.extract.api import guarded
from spellmark.attacks.extract.training import copy_card
from spellmark.model_files.card import ModelCard
from spellmark.secrets import KeyFile
from spellmark.training import architectures
from spellmark.training.datasets import Split
from spellmark.training.fit import Recipe, fit
from spellmark.training.inference import predict_probabilities
from spellmark.watermarks.dynamic import SCHEME, Guard, MarkKey, MarkParameters
from tests.spellmark.attacks.easy_locks import images

CARD = ModelCard(
    architecture="small-resnet", classes=10, channels=1, height=8, width=8,
    mean=(0.29,), std=(0.3,),
)  # fmt: skip
MLP = copy_card(CARD, "small-mlp")


@dataclass(frozen=True)
class EasyGuard:
    """An owner's model with its key and API, a thief's images and held-out ones."""

    model: nn.Module
    key: MarkKey
    attacker: Split
    test: Split

    @property
    def api(self) -> Answer:
        """What the guarded model answers."""
        return guarded(self.model, CARD, Guard(self.key))

    def plain(self, pictures: np.ndarray) -> np.ndarray:
        """What the model itself answers."""
        return predict_probabilities(self.model, CARD, pictures)


def mark_key(number: int) -> MarkKey:
    """A key of the strongest mark that is of use."""
    parameters = MarkParameters(classes=10, strength=100)
    secret = bytes([number]) * 32
    return MarkKey.open(KeyFile(SCHEME, parameters.as_dict(), secret, bytes(32)))


@cache
def easy_guard() -> EasyGuard:
    """The guard of a model that is right about three times in four."""
    train, attacker, test = images()
    model = fit(architectures.fresh(CARD, 0), CARD, train, Recipe(epochs=3))
    return EasyGuard(model, mark_key(1), attacker, test)
