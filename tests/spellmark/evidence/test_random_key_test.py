import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spellmark.evidence.random_key_test import others_needed, random_key_test, smallest_p


def test_the_best_of_a_thousand_has_the_smallest_p():
    result = random_key_test([*range(999), 5000], true=999)
    assert result.p_value == smallest_p(999) == 0.001
    assert result.decoys_at_or_above == 0


def test_ties_count_against_the_claim():
    assert random_key_test([3, 3, 3, 3], true=0).p_value == 1.0
    assert random_key_test([3, 3, 2, 1], true=0).p_value == 0.5


@given(st.lists(st.integers(0, 5), min_size=2, max_size=30))
def test_over_all_places_of_the_true_key_it_never_promises_too_much(statistics: list[int]):
    """Exactness: with the true key in every slot equally often, P(p <= a) <= a for every a."""
    p_values = [random_key_test(statistics, slot).p_value for slot in range(len(statistics))]
    for alpha in p_values:
        assert sum(p <= alpha for p in p_values) / len(p_values) <= alpha + 1e-12


def test_how_many_others_a_level_needs():
    assert [others_needed(alpha) for alpha in (0.05, 0.01, 0.001)] == [19, 99, 999]


@given(st.floats(1e-6, 0.05))
def test_the_others_needed_are_enough_and_not_too_many(alpha: float):
    others = others_needed(alpha)
    assert smallest_p(others) <= alpha
    assert others == 1 or smallest_p(others - 2) > alpha


def test_p_values_of_innocents_are_uniform():
    """Many innocents, whose answers hang together badly, each tried with a random true slot."""
    generator = np.random.default_rng(7)
    p_values = []
    for _ in range(2000):
        common = generator.integers(0, 40)
        statistics = (common + generator.integers(0, 6, 100)).tolist()
        p_values.append(random_key_test(statistics, int(generator.integers(100))).p_value)
    for alpha in (0.01, 0.05, 0.2):
        share = np.mean(np.asarray(p_values) <= alpha)
        assert share <= alpha + 4 * np.sqrt(alpha * (1 - alpha) / 2000)


def test_a_true_slot_that_is_not_there_is_an_error():
    with pytest.raises(IndexError):
        random_key_test([1, 2], true=5)
