import io

import numpy as np
import pytest
from PIL import Image

from protection import samples
from protection.samples import COUNT, GAP, sample_sheet
from protection.services import ProtectionError
from spellmark.locks.key_lock.parameters import KeyLockError, LockParameters
from spellmark.training import datasets

CARD = {"architecture": "small-cnn", "classes": 10, "channels": 3, "height": 42, "width": 42}
FLIP = LockParameters(block=6, steps="flip", masked=100)
SMALL = LockParameters(block=4, steps="flip")


@pytest.fixture(autouse=True)
def birds(tmp_path, monkeypatch) -> datasets.Dataset:
    generator = np.random.default_rng(0)
    arrays = {}
    for split in ("train", "test"):
        arrays[f"{split}_images"] = generator.integers(0, 256, (20, 42, 42, 3), np.uint8)
        arrays[f"{split}_labels"] = np.arange(20) % 10
    np.savez(tmp_path / "birds.npz", **arrays)
    monkeypatch.setenv("SPELLMARK_DATA", str(tmp_path))
    samples._samples.cache_clear()
    return datasets.load("birds")


def rows(sheet: bytes, side: int = 42) -> tuple[np.ndarray, np.ndarray]:
    """The plain images and the locked ones, (n, side, side, 3), at their own size."""
    pixels = np.asarray(Image.open(io.BytesIO(sheet)))[::2, ::2]
    parts = [pixels[:, left : left + side] for left in range(0, COUNT * (side + GAP), side + GAP)]
    return np.stack([p[:side] for p in parts]), np.stack([p[side + GAP :] for p in parts])


def test_plain_images_stand_above_the_same_ones_locked(birds):
    plain, locked = rows(sample_sheet("birds", CARD, FLIP))
    assert np.array_equal(plain, birds.test.images[:COUNT].transpose(0, 2, 3, 1))
    assert np.array_equal(locked, 255 - plain)


def test_every_sheet_has_a_key_of_its_own(birds):
    """No picture may ever show an owner's key at work, and these cannot: nobody has their keys."""
    shuffle = LockParameters(block=42, steps="shuffle")
    first, second = (rows(sample_sheet("birds", CARD, shuffle)) for _ in range(2))
    assert np.array_equal(first[0], second[0])
    assert not np.array_equal(first[1], second[1])
    assert np.array_equal(np.sort(first[1].ravel()), np.sort(first[0].ravel()))


def test_padded_images_are_drawn_at_their_larger_size():
    padded = LockParameters(block=43, steps="flip", masked=100, padding="edge")
    plain, locked = rows(sample_sheet("birds", CARD, padded), 43)
    assert np.array_equal(locked[:, :42, :42], 255 - plain[:, :42, :42])
    assert np.array_equal(locked[:, 42], locked[:, 41])
    with pytest.raises(KeyLockError, match="Padding makes"):
        sample_sheet("birds", {**CARD, "architecture": "other"}, padded)


def test_other_images_than_the_models_are_told():
    with pytest.raises(ProtectionError, match=r"\(3, 42, 42\), the model takes \(1, 28, 28\)"):
        sample_sheet(
            "birds",
            {**CARD, "channels": 1, "height": 28, "width": 28},
            LockParameters(block=4, steps="flip"),
        )
    with pytest.raises(datasets.DatasetError, match="no data set named"):
        sample_sheet("fish", CARD, FLIP)


def test_blocks_that_do_not_fit_are_told():
    with pytest.raises(KeyLockError, match="do not divide"):
        sample_sheet("birds", CARD, LockParameters(block=5, steps="flip"))


def test_a_key_that_takes_too_long_is_not_drawn():
    many = LockParameters(block=6, steps="substitute", tables="position", keys="block")
    with pytest.raises(ProtectionError, match="takes too long"):
        sample_sheet("birds", CARD, many)
