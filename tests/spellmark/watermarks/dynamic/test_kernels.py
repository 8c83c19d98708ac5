"""The compiled loops, against a stable sort of everything: of equal ones the first comes first."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from spellmark.watermarks.dynamic.guard import close_pairs
from spellmark.watermarks.dynamic.kernels import keep_largest, two_best

# Small whole numbers make many ties.
VALUES = st.one_of(st.integers(0, 3).map(float), st.floats(0, 1))
TABLES = arrays.arrays(
    np.float64, st.tuples(st.integers(1, 4), st.integers(2, 12)), elements=VALUES
)


def sorted_places(table: np.ndarray) -> np.ndarray:
    return np.argsort(-table, axis=1, kind="stable")


def kept(table: np.ndarray, count: int) -> np.ndarray:
    shown = np.full_like(table, np.nan)
    keep_largest()(table, count, shown)
    return shown


def kept_by_sorting(table: np.ndarray, count: int) -> np.ndarray:
    shown = table.copy()
    np.put_along_axis(shown, sorted_places(table)[:, count:], 0, axis=1)
    return shown


def two(table: np.ndarray) -> np.ndarray:
    places = np.full((len(table), 2), -1, np.int64)
    two_best()(table, places)
    return places


@given(TABLES, st.data())
def test_the_largest_are_kept_as_a_sort_keeps_them(table, data):
    count = data.draw(st.integers(1, table.shape[1]))
    assert (kept(table, count) == kept_by_sorting(table, count)).all()


@given(TABLES)
def test_the_two_best_are_those_of_a_sort(table):
    assert (two(table) == sorted_places(table)[:, :2]).all()


@given(TABLES, st.integers(1, 500))
def test_close_pairs_are_those_of_a_sort(table, margin):
    expected = []
    for number, (first, second) in enumerate(sorted_places(table)[:, :2].tolist()):
        if table[number, second] > table[number, first] * np.exp(-margin / 100):
            expected.append((number, first, second))
    assert close_pairs(table, margin) == expected


@pytest.mark.parametrize("classes", [1_000, 10_000])
def test_many_classes_with_ties(classes):
    table = np.random.default_rng(0).integers(0, classes // 5, (20, classes)) / classes
    for count in (1, 5, classes // 2, classes - 1):
        assert (kept(table, count) == kept_by_sorting(table, count)).all()
    assert (two(table) == sorted_places(table)[:, :2]).all()
