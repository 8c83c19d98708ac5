"""What the locksmith adds to a lock: who teaches it."""

import numpy as np
import pytest
import torch

from spellmark.locks.key_lock import lock as key_lock
from spellmark.locks.key_lock.lock_key import LockKey
from spellmark.locks.key_lock.parameters import SCHEME, LockParameters
from spellmark.locks.locksmith import locksmith
from spellmark.model_files.card import ModelCard
from spellmark.secrets import KeyFile
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
    smith = locksmith(key, FILE, binding=b"", images=data.images)
    unprotected = Light(gain)
    smith.lock(
        Light(gain), unprotected, CARD, data, Recipe(epochs=1),
        progress=lambda _share, step: said.append(step),
    )  # fmt: skip
    assert taught == [unprotected if teaches else None]
    assert said == ([] if teaches else [key_lock.UNTAUGHT])


def test_of_two_classes_half_is_guessing(data):
    half = Split(data.images, np.zeros(len(data), np.int64))
    assert not key_lock.can_teach(Light(9.0), CARD, half)
