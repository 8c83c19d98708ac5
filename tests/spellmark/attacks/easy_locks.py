"""Small locked models to be attacked: eight by eight pixels, blocks of four, trained in seconds."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from spellmark.attacks.key_lock.key_target import KeyTarget
from spellmark.locks.key_lock.lock_key import LockKey
from spellmark.locks.key_lock.parameters import LockParameters
from spellmark.model_files.card import ModelCard
from spellmark.training import architectures, datasets
from spellmark.training.datasets import Split
from spellmark.training.fit import Recipe, fit, one_hot

FASHION_MNIST = Path(__file__).parents[3] / "data" / "fashion-mnist"
CARD = ModelCard(architecture="small-cnn", classes=10, channels=1, height=8, width=8)
CHANCE = 0.1


@dataclass(frozen=True)
class EasyLock:
    """A locked model, its key, a thief's labelled images and held-out ones."""

    target: KeyTarget
    key: LockKey
    attacker: Split
    test: Split

    @property
    def right(self) -> float:
        """Accuracy with the key."""
        return self._accuracy(self.key)

    @property
    def wrong(self) -> float:
        """Mean accuracy with ten other keys, whose holders know how the labels are permuted."""
        return float(np.mean([self._accuracy(self.key.other(bytes([n]) * 32)) for n in range(10)]))

    def _accuracy(self, key: LockKey) -> float:
        answers = self.target.answers(key(self.test.images)).argmax(1)
        return float((self.key.decode(answers) == self.test.labels).mean())


@cache
def images() -> tuple[Split, Split, Split]:
    """Training images, a thief's and held-out ones, made small."""
    data = datasets.load_path(FASHION_MNIST)
    return _small(data.train[:4_000]), _small(data.train[11_000:]), _small(data.test[:1_000])


@cache
def easy_lock(steps: str, labels: str = "plain", keys: str = "shared") -> EasyLock:
    """A model locked without negatives, the easiest to attack."""
    train, attacker, test = images()
    parameters = LockParameters(block=4, steps=steps, labels=labels, keys=keys)
    key = LockKey.derive(
        bytes(range(32)), binding=b"", shape=(1, 8, 8), classes=10, parameters=parameters
    )
    model = fit(
        plain_model(),
        CARD,
        train,
        Recipe(epochs=4, batch=64),
        make_batch=lambda images, labels, _: (key(images), one_hot(key.encode(labels), 10)),
    )
    return EasyLock(KeyTarget(model, CARD, parameters, key.geometry), key, attacker, test)


def plain_model() -> torch.nn.Module:
    """The network before any training."""
    torch.manual_seed(0)
    return architectures.build(CARD)


def _small(split: Split) -> Split:
    pixels = F.adaptive_avg_pool2d(torch.from_numpy(split.images.astype(np.float32)), 8)
    return Split(pixels.round().byte().numpy(), split.labels)
