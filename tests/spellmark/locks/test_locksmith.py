"""What the locksmith adds to a lock: who teaches it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from spellmark.locks.key_lock import lock as key_lock
from spellmark.locks.key_lock.lock_key import LockKey
from spellmark.locks.key_lock.parameters import SCHEME, KeyLockError, LockParameters
from spellmark.locks.locksmith import LockedError, locksmith
from spellmark.locks.prompt_lock.parameters import SCHEME as SPELL
from spellmark.locks.prompt_lock.parameters import PromptLockParameters
from spellmark.locks.prompt_lock.policies import EXTRA, UNIFORM
from spellmark.locks.prompt_lock.public_editor import public_digest
from spellmark.locks.unlock import open_key
from spellmark.model_files.card import ModelCard
from spellmark.secrets import KeyFile
from spellmark.training.architectures import build
from spellmark.training.datasets import Split
from spellmark.training.fit import Recipe

CARD = ModelCard(architecture="small-cnn", classes=2, channels=1, height=8, width=8)
PARAMETERS = LockParameters(block=4, steps="shuffle")
FILE = KeyFile.generate(SCHEME, PARAMETERS.as_dict())


class Light(torch.nn.Module):
    """Says 1 for light images and 0 for dark ones, or the reverse."""

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.gain = gain

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        light = self.gain * (images.mean((1, 2, 3)) - images.mean())
        return torch.stack([-light, light], 1)


@pytest.fixture
def data() -> Split:
    labels = np.arange(1200) % 2
    # After the first thousand the images say the opposite.
    light = np.where(np.arange(1200) < 1000, labels, 1 - labels)
    images = np.broadcast_to(light[:, None, None, None] * 200, (1200, 1, 8, 8))
    return Split(images.astype(np.uint8), labels)


@pytest.mark.parametrize(("gain", "teaches"), [(9.0, True), (-9.0, False)])
def test_only_a_model_that_knows_its_images_teaches(monkeypatch, data, gain, teaches):
    taught, said = [], []
    monkeypatch.setattr(
        key_lock, "lock", lambda *_arguments, teacher, **_options: taught.append(teacher)
    )
    key = LockKey.open(FILE, binding=b"", shape=(1, 8, 8), classes=2)
    smith = locksmith(key, FILE, binding=b"\xab")
    unprotected = Light(gain)
    smith.lock(
        Light(gain), unprotected, CARD, data, Recipe(epochs=1),
        progress=lambda _share, step: said.append(step),
    )  # fmt: skip
    assert taught == [unprotected if teaches else None]
    assert smith.prepared(unprotected, CARD)[1] == replace(CARD, binding="ab")
    assert said == ([] if teaches else [key_lock.UNTAUGHT])


def test_the_negatives_of_a_key_lock_are_not_chosen(data):
    key = LockKey.open(FILE, binding=b"", shape=(1, 8, 8), classes=2)
    with pytest.raises(KeyLockError, match="negatives of a key lock are not chosen"):
        locksmith(key, FILE, binding=b"", negatives="none")


@pytest.mark.parametrize("policy", [UNIFORM, EXTRA])
def test_an_extra_class_is_made_for_its_policy_alone(policy):
    parameters = PromptLockParameters(editor=public_digest())
    file = KeyFile.generate(SPELL, parameters.as_dict(), "open sesame")
    card = ModelCard(
        architecture="small-cnn", classes=2, channels=1, height=8, width=8, label_names=("a", "b")
    )
    key = open_key(file, shape=(1, 8, 8), classes=2)
    smith = locksmith(key, file, binding=b"\xab", negatives=policy)
    unprotected = build(card)
    model, locked_card = smith.prepared(unprotected, card)
    assert model is not unprotected
    if policy != EXTRA:
        assert locked_card == replace(card, binding="ab")
        return
    assert (locked_card.classes, locked_card.label_names) == (3, ("a", "b", "no spell"))
    with pytest.raises(LockedError, match="locked already"):
        smith.prepared(model, locked_card)


def test_of_two_classes_half_is_guessing(data):
    half = Split(data.images, np.zeros(len(data), np.int64))
    assert not key_lock.can_teach(Light(9.0), CARD, half)
