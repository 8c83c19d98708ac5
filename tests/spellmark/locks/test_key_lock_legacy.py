import warnings

import numpy as np
import pytest
import torch

from spellmark.locks.key_lock.legacy import LegacyTransform, ffx_table, seeded_order
from spellmark.locks.key_lock.parameters import KeyLockError

METHODS = ("shuffle", "flip", "substitute")
SHAPE = (3, 16, 16)


def _images(shape: tuple[int, int, int] = SHAPE) -> torch.Tensor:
    pixels = np.random.default_rng(0).integers(0, 256, (4, *shape)).astype(np.float32)
    return torch.from_numpy(pixels) / 255


def _by_definition(method: str, image: np.ndarray, block: int, seed: int) -> np.ndarray:
    """Block by block, values in (row, column, channel) order, one value at a time."""
    channels, height, width = image.shape
    order = seeded_order(channels * block * block, seed).tolist()
    table = ffx_table("password")
    largest = np.float32(max(table[:256]))
    result = np.empty_like(image)
    for top in range(0, height, block):
        for left in range(0, width, block):
            part = image[:, top : top + block, left : left + block].transpose(1, 2, 0).reshape(-1)
            new = []
            for position, value in enumerate(part):
                chosen = order[position] > len(order) / 2
                if method == "shuffle":
                    new.append(part[order[position]])
                elif method == "flip":
                    new.append(1 - value if chosen else value)
                else:
                    whole = int(value * np.float32(255))
                    new.append(np.float32(table[whole] if chosen else whole) / largest)
            keyed = np.asarray(new, np.float32).reshape(block, block, channels).transpose(2, 0, 1)
            result[:, top : top + block, left : left + block] = keyed
    return result


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("shape", "block"), [((3, 8, 12), 2), ((3, 8, 8), 4), ((1, 9, 6), 3), (SHAPE, 16)]
)
def test_it_is_the_definition(method: str, shape: tuple[int, int, int], block: int):
    images = _images(shape)
    keyed = LegacyTransform(method, shape, block, seed=7)(images)
    for new, old in zip(keyed.numpy(), images.numpy(), strict=True):
        assert np.array_equal(new, _by_definition(method, old, block, seed=7))


def test_the_key_has_its_known_answer():
    known = [6, 16, 2, 7, 0, 5, 46, 34, 38, 29, 12, 9]
    assert seeded_order(48, 42)[:12].tolist() == known


@pytest.mark.parametrize(("block", "ones"), [(2, 5), (4, 23), (8, 95), (16, 383)])
def test_the_mask_has_its_known_count(block: int, ones: int):
    flip = LegacyTransform("flip", (3, block, block), block)
    assert int(flip(torch.zeros(1, 3, block, block)).sum()) == ones


def test_the_encryption_has_its_known_answers():
    table = ffx_table("password")
    assert [table[number] for number in (0, 1, 2, 127, 255)] == [355, 522, 858, 38, 757]
    assert (min(table[:256]), max(table[:256])) == (2, 996)
    assert sum(number <= 255 for number in table[:256]) == 61
    assert sorted(table) == list(range(1000))
    assert ffx_table("another") != table


@pytest.mark.parametrize("size", [12, 48, 192, 768])
def test_the_key_is_that_of_the_global_generator(size: int):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(123)
        assert torch.equal(seeded_order(size, 123), torch.randperm(size))


def test_only_32_bits_of_the_seed_count():
    assert torch.equal(seeded_order(48, 5), seeded_order(48, 5 + 2**32))
    assert not torch.equal(seeded_order(48, 5), seeded_order(48, 6))


@pytest.mark.parametrize("method", METHODS)
def test_it_leaves_the_global_generator_and_the_images_alone(method: str):
    images = _images().contiguous(memory_format=torch.channels_last)
    before, state = images.clone(), torch.get_rng_state()
    LegacyTransform(method, SHAPE, 16)(images)
    assert torch.equal(images, before)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("method", METHODS)
def test_arrays_give_arrays_with_the_same_values(method: str):
    transform, images = LegacyTransform(method, SHAPE, 4), _images()
    keyed = transform(images.numpy())
    assert isinstance(keyed, np.ndarray)
    assert np.array_equal(keyed, transform(images).numpy())
    assert np.array_equal(transform.inverse(keyed), transform.inverse(transform(images)).numpy())


def test_shuffling_can_be_undone_exactly_and_flipping_to_the_last_bit():
    images = _images()
    shuffle, flip = (LegacyTransform(method, SHAPE, 4) for method in ("shuffle", "flip"))
    assert torch.equal(shuffle.inverse(shuffle(images)), images)
    assert torch.allclose(flip.inverse(flip(images)), images, rtol=0, atol=1e-7)


def test_substitution_is_undone_with_the_published_errors():
    images = _images()
    substitute = LegacyTransform("substitute", SHAPE, 4)
    wrong = (substitute.inverse(substitute(images)) - images).abs() > 1e-6
    assert 0 < wrong.float().mean() < 0.1


def test_values_outside_the_range_are_clamped_as_published():
    substitute, images = LegacyTransform("substitute", SHAPE, 4), _images()
    assert torch.equal(substitute(images * 3 - 1), substitute((images * 3 - 1).clamp(0, 1)))


@pytest.mark.parametrize(
    ("images", "message"),
    [(torch.zeros(2, 3, 8, 8), "shape"), (torch.zeros(2, *SHAPE, dtype=torch.uint8), "float32")],
)
def test_it_refuses_other_images(images: torch.Tensor, message: str):
    with pytest.raises(KeyLockError, match=message):
        LegacyTransform("flip", SHAPE, 4)(images)


def test_it_refuses_a_list_of_images():
    with pytest.raises(KeyLockError, match="not on a list"):
        LegacyTransform("flip", SHAPE, 4)([_images()])


def test_making_one_warns_of_nothing():
    torch.set_warn_always(True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            LegacyTransform("shuffle", SHAPE, 4)
    finally:
        torch.set_warn_always(False)


def test_it_refuses_what_was_never_published():
    with pytest.raises(KeyLockError, match="no published transform"):
        LegacyTransform("scramble", SHAPE, 4)
    with pytest.raises(KeyLockError, match="do not divide"):
        LegacyTransform("flip", SHAPE, 5)
