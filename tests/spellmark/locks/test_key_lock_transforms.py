import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spellmark.locks.key_lock.transforms import (
    SHUFFLE,
    Geometry,
    KeyLockError,
    Shuffle,
    from_key_file,
)
from spellmark.secrets import KeyFile, permutation

KEY = bytes(range(32))
KNOWN = [6, 4, 15, 14, 0, 10, 13, 3, 11, 8, 1, 12, 2, 7, 5, 9]


def _reference(image: np.ndarray, key: bytes, block: int) -> np.ndarray:
    """The definition, block by block: gather in (row, column, channel) order."""
    channels, height, width = image.shape
    order = permutation(key, channels * block * block)
    result = np.empty_like(image)
    for top in range(0, height, block):
        for left in range(0, width, block):
            part = image[:, top : top + block, left : left + block].transpose(1, 2, 0).reshape(-1)
            shuffled = part[order].reshape(block, block, channels).transpose(2, 0, 1)
            result[:, top : top + block, left : left + block] = shuffled
    return result


@given(
    st.binary(min_size=32, max_size=32),
    st.sampled_from([(1, 4, 4, 2), (3, 8, 4, 4), (3, 6, 9, 3), (1, 28, 28, 14), (3, 16, 16, 16)]),
)
def test_the_kernel_is_the_definition(key: bytes, shape: tuple[int, int, int, int]):
    channels, height, width, block = shape
    images = np.random.default_rng(0).integers(0, 256, (2, channels, height, width), np.uint8)
    transformed = Shuffle.from_key(key, Geometry(*shape))(images)
    assert all(
        np.array_equal(new, _reference(old, key, block))
        for new, old in zip(transformed, images, strict=True)
    )


def test_it_has_its_known_answer():
    image = np.arange(16, dtype=np.uint8).reshape(1, 1, 4, 4)
    assert Shuffle.from_key(KEY, Geometry(1, 4, 4, 4))(image).ravel().tolist() == KNOWN


def test_it_leaves_the_images_it_was_given_alone():
    images = np.random.default_rng(0).integers(0, 256, (3, 1, 8, 8), np.uint8)
    before = images.copy()
    Shuffle.from_key(KEY, Geometry(1, 8, 8, 4))(images)
    assert np.array_equal(images, before)


def test_wrong_keys_give_other_images():
    images = np.random.default_rng(0).integers(0, 256, (1, 1, 28, 28), np.uint8)
    geometry = Geometry(1, 28, 28, 14)
    assert not np.array_equal(
        Shuffle.from_key(KEY, geometry)(images), Shuffle.from_key(bytes(32), geometry)(images)
    )


def test_it_refuses_sizes_that_do_not_divide_and_names_those_that_do():
    with pytest.raises(KeyLockError, match="2, 4, 7, 14, 28"):
        Geometry(1, 28, 28, 5)


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((2, 1, 28, 28), np.float32),
        np.zeros((2, 3, 28, 28), np.uint8),
        np.zeros((28, 28), np.uint8),
    ],
)
def test_it_refuses_other_shapes_and_types(images: np.ndarray):
    with pytest.raises(KeyLockError, match="works on uint8 images of shape"):
        Shuffle.from_key(KEY, Geometry(1, 28, 28, 14))(images)


def test_it_refuses_a_key_file_for_something_else():
    geometry = Geometry(1, 28, 28, 14)
    for key in (
        KeyFile.generate("trigger/v1", {"block": 14}),
        KeyFile.generate(SHUFFLE, {"block": 7}),
        KeyFile.generate(SHUFFLE, {}),
    ):
        with pytest.raises(KeyLockError, match="This key file is for"):
            from_key_file(key, binding=b"b", geometry=geometry)


def test_the_binding_changes_the_transform():
    key, geometry = KeyFile.generate(SHUFFLE, {"block": 14}), Geometry(1, 28, 28, 14)
    one, other = (from_key_file(key, binding=b, geometry=geometry) for b in (b"1", b"2"))
    assert not np.array_equal(one.index, other.index)
