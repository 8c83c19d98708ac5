import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spellmark.locks.key_lock import kernels

COUNTS = (1, 7, 8, 19)


def _by_definition(images, index, mask, which, tables) -> np.ndarray:
    values = images.shape[1] if index is None else len(index)
    result = np.empty((len(images), values), np.uint8)
    for i in range(len(images)):
        for p in range(values):
            value = images[i, p if index is None else index[p]]
            if mask is not None:
                value = value ^ mask[p]
            result[i, p] = value if which is None else tables[which[p], value]
    return result


def _parts(rng: np.random.Generator, values: int, gathered: int, *, has: tuple[int, int, int]):
    wanted = gathered if has[0] else values
    index = kernels.smallest_unsigned(rng.integers(0, values, gathered), values)
    mask = rng.integers(0, 256, wanted, np.uint8)
    which = kernels.smallest_unsigned(rng.integers(0, 3, wanted), 3)
    tables = rng.integers(0, 256, (3, 256), np.uint8)
    parts = zip((index, mask, which), has, strict=True)
    return *(part if there else None for part, there in parts), tables


@pytest.fixture
def compiling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even the smallest batch is worth compiling."""
    monkeypatch.setattr(kernels, "WORTH_COMPILING", 0)


@pytest.mark.usefixtures("compiling")
@pytest.mark.parametrize("has", [(i, m, w) for i in (0, 1) for m in (0, 1) for w in (0, 1)])
def test_compiled_and_plain_are_the_definition(has: tuple[int, int, int]):
    @settings(max_examples=25, deadline=None)
    @given(st.integers(0, 2**32), st.sampled_from(COUNTS), st.integers(1, 30), st.integers(1, 40))
    def check(seed: int, count: int, values: int, gathered: int) -> None:
        rng = np.random.default_rng(seed)
        images = rng.integers(0, 256, (count, values), np.uint8)
        parts = _parts(rng, values, gathered, has=has)
        wanted = _by_definition(images, *parts)
        assert np.array_equal(kernels.apply(images, *parts), wanted)
        assert np.array_equal(kernels.apply_plainly(images, *parts), wanted)

    check()


@pytest.mark.parametrize("has", [(1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1)])
@pytest.mark.parametrize("values", [3 * 32 * 32, 3 * 224 * 224])
def test_large_batches_are_the_same_both_ways(has: tuple[int, int, int], values: int):
    """More than a tile of values, narrow and wide indices, and a rest of images."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (43, values), np.uint8)
    parts = _parts(rng, values, values + 5, has=has)
    before = images.copy()
    result = kernels.apply(images, *parts)
    assert np.array_equal(result, kernels.apply_plainly(images, *parts))
    assert np.array_equal(images, before)
    assert not np.shares_memory(result, images)


@pytest.mark.usefixtures("compiling")
@pytest.mark.parametrize("gathered", [False, True])
@pytest.mark.parametrize("first", ["identity", "another"])
def test_one_table_for_chosen_values_is_the_same(first: str, gathered: bool):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (9, 700), np.uint8)
    index, mask, which, tables = _parts(rng, 700, 700, has=(gathered, gathered, 1))
    tables = tables[:2]
    if first == "identity":
        tables[0] = np.arange(256)
    parts = index, mask, which % 2, tables
    before = images.copy()
    assert np.array_equal(kernels.apply(images, *parts), _by_definition(images, *parts))
    assert np.array_equal(images, before)


@pytest.mark.parametrize("least", [0, 1 << 16])
def test_the_result_is_a_new_array_even_where_nothing_is_done(
    least: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(kernels, "WORTH_COMPILING", least)
    images = np.arange(12, dtype=np.uint8).reshape(2, 6)
    result = kernels.apply(images, None, None, None, np.empty((0, 256), np.uint8))
    assert np.array_equal(result, images)
    assert not np.shares_memory(result, images)


@pytest.mark.usefixtures("compiling")
def test_read_only_images_an_empty_batch_and_rows_with_gaps_will_do():
    rng = np.random.default_rng(0)
    parts = _parts(rng, 20, 20, has=(1, 1, 1))
    wide = rng.integers(0, 256, (9, 40), np.uint8)
    wide.flags.writeable = False
    for images in (wide[:, :20], wide[:, ::2], wide[:0, :20]):
        assert np.array_equal(kernels.apply(images, *parts), kernels.apply_plainly(images, *parts))


def test_small_batches_are_not_worth_compiling(monkeypatch: pytest.MonkeyPatch):
    def never(_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(kernels, "_compiled", never)
    images = np.zeros((20, 3 * 32 * 32), np.uint8)
    index = np.arange(3 * 32 * 32, dtype=np.uint16)
    kernels.apply(images, index, None, None, np.empty((0, 256), np.uint8))
    with pytest.raises(AssertionError):
        kernels.apply(images.repeat(2, 0), index, None, None, np.empty((0, 256), np.uint8))


@pytest.mark.parametrize(("below", "dtype"), [(1 << 16, np.uint16), ((1 << 16) + 1, np.uint32)])
def test_indices_are_as_narrow_as_they_can_be(below: int, dtype: type):
    largest = kernels.smallest_unsigned(np.asarray([below - 1]), below)
    assert largest.dtype == dtype
    assert largest[0] == below - 1
