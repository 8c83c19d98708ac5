"""Keyed labels on real networks: innocents are left alone under many keys, thieves are found."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from math import comb
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from spellmark.evidence.draws import choose_probes
from spellmark.evidence.keyed_label_test import keyed_label_test
from spellmark.locks.key_lock.lock import lock
from spellmark.locks.key_lock.lock_key import LockKey
from spellmark.locks.key_lock.parameters import LockParameters
from spellmark.model_files.card import ModelCard
from spellmark.training import datasets
from spellmark.training.architectures import build
from spellmark.training.datasets import Split
from spellmark.training.fit import Recipe, fit
from spellmark.training.inference import predict_probabilities

pytestmark = pytest.mark.slow

CARD = ModelCard(architecture="small-cnn", classes=10, channels=1, height=14, width=14)
KEYS = 200
PROBES = 64
Answer = Callable[[np.ndarray], np.ndarray]


def key_of(number: int) -> LockKey:
    return LockKey.derive(
        number.to_bytes(32, "big"),
        binding=b"",
        shape=(1, 14, 14),
        classes=10,
        parameters=LockParameters(block=7, steps="shuffle+flip"),
    )


OWNERS = key_of(0)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small gain nothing from more, and lose much on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def data() -> tuple[Split, Split]:
    """Fashion-MNIST at half its size: 3,000 images to learn from and 2,000 to ask with."""
    found = datasets.load("fashion-mnist", folders=[Path(__file__).parents[3] / "data"])
    return _halved(found.train[:3000]), _halved(found.test[:2000])


def _halved(split: Split) -> Split:
    quarters = split.images.astype(np.uint16).reshape(-1, 1, 14, 2, 14, 2)
    return Split(quarters.mean((3, 5)).astype(np.uint8), split.labels)


def _trained(data: Split, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return fit(build(CARD), CARD, data, Recipe(epochs=3, seed=seed))


def _locked(data: Split, key: LockKey) -> nn.Module:
    return lock(_trained(data), CARD, data, key, Recipe(epochs=4))


def _answers(model: nn.Module) -> Answer:
    return lambda images: predict_probabilities(model, CARD, images).argmax(axis=1)


def _hash(images: np.ndarray) -> np.ndarray:
    """A function of the pixels that nothing explains, with a bias."""
    return (images.reshape(len(images), -1).astype(np.int64) @ np.arange(196) % 17).clip(max=9)


def p_value(answer: Answer, key: LockKey, test: Split, number: int) -> float:
    seed = number.to_bytes(32, "big")
    places = choose_probes(seed, test.labels.tolist(), wanted=PROBES)
    answers = answer(key(test.images[places]))
    return keyed_label_test(test.labels[places], [answers], key.labels).p_value


@pytest.fixture(scope="module")
def innocents(data: tuple[Split, Split]) -> dict[str, Answer]:
    train, _ = data
    other = Split(train.images[::-1], np.random.default_rng(0).permutation(train.labels))
    return {
        "trained on the owner's data": _answers(_trained(train)),
        "trained on other data": _answers(_trained(other, seed=1)),
        "locked under another key": _answers(_locked(train, key_of(10**6))),
        "no model at all": _hash,
    }


def test_innocents_are_accused_no_more_often_than_promised(innocents, data):
    _, test = data
    for name, answer in innocents.items():
        p_values = np.asarray([p_value(answer, key_of(n), test, n) for n in range(1, KEYS + 1)])
        for alpha in (0.01, 0.05, 0.2):
            assert np.sum(p_values <= alpha) <= most_accused(alpha), (name, alpha)


def most_accused(alpha: float) -> int:
    """What a binomial count of KEYS trials at alpha exceeds with a chance below 1 in 100,000."""
    rest = 1.0
    for count in range(KEYS + 1):
        rest -= comb(KEYS, count) * alpha**count * (1 - alpha) ** (KEYS - count)
        if rest < 1e-5:
            return count
    return KEYS


@pytest.fixture(scope="module")
def stolen(data: tuple[Split, Split]) -> nn.Module:
    return _locked(data[0], OWNERS)


def test_thieves_are_found_with_a_few_dozen_answers(stolen, data):
    train, test = data
    thief = deepcopy(stolen)
    copied = [p_value(_answers(thief), OWNERS, test, number) for number in range(20)]
    assert max(copied) <= 1e-5
    # Fine-tuned under the key on a few images, as someone does who bought access.
    tuned = lock(thief, CARD, train[:500], OWNERS, Recipe(epochs=1, learning_rate=1e-3))
    assert max(p_value(_answers(tuned), OWNERS, test, number) for number in range(20)) <= 1e-5


def test_a_thief_who_puts_the_labels_back_leaves_no_hits(stolen, data):
    _, test = data
    answer = _answers(stolen)
    relabelled = [
        p_value(lambda images: OWNERS.decode(answer(images)), OWNERS, test, number)
        for number in range(20)
    ]
    assert min(relabelled) > 1e-3
