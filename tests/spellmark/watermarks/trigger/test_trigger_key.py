"""Trigger keys that stand: one bit changed here would strand every mark made before."""

import hashlib

import numpy as np
import pytest

from spellmark.evidence.trigger_leaves import LeavesError, check_opening
from spellmark.locks.key_lock.parameters import SCHEME as KEY_LOCK
from spellmark.secrets import KeyFile
from spellmark.watermarks.trigger import SCHEME, TriggerKey, TriggerMarkError, TriggerParameters
from spellmark.watermarks.trigger.trigger_key import image_digest

SMALL = {"classes": 5, "channels": 1, "height": 8, "width": 8, "triggers": 16, "queries": 8}


def key_file(**choices: int) -> KeyFile:
    parameters = TriggerParameters(**{**SMALL, **choices})
    return KeyFile(SCHEME, parameters.as_dict(), secret=bytes(range(32)), nonce=bytes(32))


def opened(owner: str = "robin", binding: bytes = bytes(32), **choices: int) -> TriggerKey:
    return TriggerKey.open(key_file(**choices), owner=owner, binding=binding)


def test_known_answers():
    key = opened()
    assert key.labels.tolist() == LABELS
    assert hashlib.sha256(key.images.tobytes()).hexdigest() == IMAGES
    assert key.tree.root == ROOT


@pytest.mark.parametrize("choices", [{"channels": 3}, {"height": 9, "width": 13, "grid": 5}])
def test_images_fit_any_model(choices):
    key = opened(**choices)
    assert key.images.shape == (16, *key.parameters.shape)
    assert key.images.dtype == np.uint8
    assert len(np.unique(key.images[0])) > 10


def test_owner_and_binding_go_into_everything():
    keys = [opened(), opened(owner="marian"), opened(binding=b"\1" * 32)]
    assert len({key.tree.root for key in keys}) == 3
    assert len({key.images.tobytes() for key in keys}) == 3
    assert len({key.labels.tobytes() for key in keys}) == 3


def test_labels_are_uniform():
    counts = np.bincount(opened(triggers=4096).labels, minlength=5)
    # Five standard deviations of Binomial(4096, 1/5).
    assert abs(counts - 4096 / 5).max() < 5 * np.sqrt(4096 * 0.2 * 0.8)


def test_an_opening_shows_that_a_trigger_is_registered_and_refuses_any_other():
    key = opened()
    for leaf in range(16):
        opening = key.opening(leaf)
        digest = image_digest(key.image(leaf))
        known = {"size": 16, "root": key.tree.root}
        check_opening(opening, leaf=leaf, image_sha256=digest, **known)
        changed = key.image(leaf).copy()
        changed[0, 0, 0] ^= 1
        with pytest.raises(LeavesError):
            check_opening(opening, leaf=leaf, image_sha256=image_digest(changed), **known)
        with pytest.raises(LeavesError):
            check_opening(opening, leaf=(leaf + 1) % 16, image_sha256=digest, **known)
        with pytest.raises(LeavesError):
            check_opening(
                type(opening)((opening.label + 1) % 5, opening.salt, opening.path),
                leaf=leaf, image_sha256=digest, **known,
            )  # fmt: skip


def test_a_key_of_another_scheme_opens_nothing():
    other = KeyFile(KEY_LOCK, {}, secret=bytes(32), nonce=bytes(32))
    with pytest.raises(TriggerMarkError, match="not for a trigger watermark"):
        TriggerKey.open(other, owner="robin", binding=bytes(32))
    with pytest.raises(TriggerMarkError, match="binding"):
        opened(binding=b"")


def test_the_key_never_shows_its_secret():
    assert bytes(range(32)).hex() not in repr(opened())
    assert str(bytes(range(32))) not in repr(opened())


@pytest.mark.parametrize(
    "wrong",
    [
        {"classes": 1}, {"channels": 2}, {"triggers": 15}, {"queries": 17}, {"grid": 9},
        {"digits": 1}, {"height": True},
    ],
)  # fmt: skip
def test_parameters_that_make_no_watermark_are_refused(wrong):
    with pytest.raises(TriggerMarkError):
        TriggerParameters(**{**SMALL, **wrong})


def test_parameters_come_back_as_they_were():
    parameters = TriggerParameters(**SMALL)
    assert TriggerParameters.from_dict(parameters.as_dict()) == parameters
    assert parameters.alpha == 1e-6
    with pytest.raises(TriggerMarkError, match="lack"):
        TriggerParameters.from_dict({"classes": 5})


LABELS = [2, 1, 1, 1, 2, 1, 1, 0, 3, 0, 1, 2, 4, 0, 1, 3]
IMAGES = "c351c476ec3d344623c17f3b68b0b9210e775240f2f53b9b76bcdd442d5e18ea"
ROOT = "009246428991517168eb454e365030e866f07de7bae18b87b23f82ff75d4a67b"
