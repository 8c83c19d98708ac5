"""What answers show is read from the answers."""

import numpy as np
import pytest

from spellmark.evidence.answer_access import Access, AccessReader


def seen(table):
    reader = AccessReader(table.shape[1])
    for row in table.tolist():
        reader.add(row)
    return reader.access


@pytest.fixture
def table():
    return np.random.default_rng(2).dirichlet(np.full(10, 0.3), 40)


def largest(table, count):
    kept = table.copy()
    np.put_along_axis(kept, np.argsort(-table, 1)[:, count:], 0, 1)
    return kept


def test_whole_probabilities(table):
    assert seen(table) == Access("all")
    assert str(seen(table)) == "probabilities"


@pytest.mark.parametrize("decimals", [1, 2, 3, 4])
def test_rounding(table, decimals):
    assert seen(table.round(decimals)) == Access("all", None, decimals)


@pytest.mark.parametrize("decimals", [1, 2, 3, 4])
def test_rounding_in_single_precision(table, decimals):
    shown = table.astype(np.float32).round(decimals)
    assert seen(shown) == Access("all", None, decimals)


def test_single_precision_alone_is_no_rounding(table):
    assert seen(table.astype(np.float32)) == Access("all")


def test_six_decimals_are_no_rounding_worth_a_word(table):
    assert seen(table.round(6)) == Access("all")


@pytest.mark.parametrize("count", [2, 3, 5])
def test_the_largest_few(table, count):
    assert seen(largest(table, count)) == Access("largest", count)
    assert str(seen(largest(table, count))) == f"the {count} largest probabilities"


def test_the_largest_few_made_to_sum_to_one(table):
    few = largest(table, 3)
    assert seen(few / few.sum(1, keepdims=True)) == Access("largest", 3)


def test_the_largest_few_rounded(table):
    few = np.tile([0.71, 0.2, 0.05, 0, 0, 0], (4, 1))
    assert seen(few) == Access("largest", 3, 2)
    assert str(seen(few)) == "the 3 largest probabilities, rounded to 2 decimals"


def test_the_best_one_alone(table):
    assert seen(largest(table, 1)).shown == "best"
    assert not seen(largest(table, 1)).has_tails


def test_flattened_tails(table):
    best = table.max(1, keepdims=True)
    assert seen(np.where(table == best, best, (1 - best) / 9)).shown == "best"


def test_labels(table):
    assert seen(np.eye(10)[table.argmax(1)]) == Access("labels")


def test_a_sure_answer_among_others_hides_nothing(table):
    table[0] = np.eye(10)[3]
    assert seen(table) == Access("all")


def test_two_classes_are_whole_probabilities():
    assert seen(np.array([[0.87123, 0.12877], [0.33219, 0.66781]])).shown == "all"


def test_no_answer_shows_nothing():
    assert AccessReader(10).access == Access("labels")
