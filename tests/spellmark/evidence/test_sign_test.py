"""The sign test against plain enumeration, against draws, and against what is known."""

import math
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spellmark.evidence.sign_draws import drawn_p_value
from spellmark.evidence.sign_test import (
    MOST_COUNTED,
    SMALLEST_STATED,
    chernoff_bound,
    counted,
    sign_test,
    smallest_p,
)

evidence = st.lists(st.integers(-64, 64), min_size=1, max_size=10)


def enumerated(sizes, statistic):
    sums = [sum(np.multiply(signs, sizes)) for signs in product((-1, 1), repeat=len(sizes))]
    return float(Fraction(sum(s >= statistic for s in sums), len(sums)))


@settings(max_examples=80, deadline=None)
@given(evidence, st.randoms())
def test_it_counts_as_enumeration_does(values, chance):
    signs = [chance.choice((-1, 1)) for _ in values]
    result = sign_test(values, signs)
    assert result.statistic == sum(v * s for v, s in zip(values, signs, strict=True))
    if result.statistic > 0:
        assert result.p_value == enumerated(values, result.statistic)
    else:
        assert result.p_value == 1


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 64), min_size=1, max_size=40), st.floats(0.01, 1))
def test_the_bound_is_never_below_the_exact_value(sizes, share):
    statistic = math.ceil(share * sum(sizes))
    assert chernoff_bound(sizes, statistic) >= counted(sizes, statistic) * (1 - 1e-9)


def test_a_key_that_fits_everywhere_is_one_among_all():
    assert sign_test([5] * 90, [1] * 90).p_value == 2.0**-90
    assert sign_test([5, 0, -3], [1, -1, -1]).p_value == 0.25


def test_many_places_are_bounded_by_what_hoeffding_gives():
    values, signs = [1] * (MOST_COUNTED + 400), [1] * 600 + [-1] * (MOST_COUNTED - 200)
    result = sign_test(values, signs)
    assert result.p_value <= math.exp(-(result.statistic**2) / (2 * len(values)))
    # A normal approximation of the same: six deviations and a third.
    assert 1e-11 < result.p_value < 3e-9


@pytest.mark.parametrize("places", [MOST_COUNTED, 20 * MOST_COUNTED])
def test_no_p_value_is_below_the_smallest_that_is_stated(places):
    result = sign_test([64] * places, [1] * places)
    assert smallest_p(places) * (1 - 1e-9) <= result.p_value
    assert result.p_value >= SMALLEST_STATED


def test_draws_give_what_is_counted():
    chance = np.random.default_rng(3)
    values = chance.integers(-64, 65, 30).tolist()
    signs = [1 if v > 0 or n % 3 == 0 else -1 for n, v in enumerate(values)]
    exact = sign_test(values, signs).p_value
    drawn = drawn_p_value(values, signs, draws=200_000, generator=chance)
    assert drawn == pytest.approx(exact, rel=0.2)
    assert exact > 1e-4  # else the draws would say nothing


def test_random_signs_are_sub_uniform():
    chance = np.random.default_rng(1)
    values = chance.integers(-64, 65, 90).tolist()
    p = np.array(
        [sign_test(values, (chance.integers(0, 2, 90) * 2 - 1).tolist()).p_value
         for _ in range(2000)]
    )  # fmt: skip
    for alpha in (0.3, 0.1, 0.05, 0.01):
        assert (p <= alpha).mean() <= alpha + 3 * math.sqrt(alpha / len(p))
    assert (p <= 0.1).mean() > 0.07
