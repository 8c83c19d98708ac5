"""Exact bounds of proportions, against scipy's and against tables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from spellmark.evidence.proportions import at_least, at_most, interval


def test_none_of_thirty_leaves_nine_and_a_half_percent_open():
    assert at_most(0, 30) == pytest.approx(0.0950, abs=1e-4)
    assert at_most(0, 30) == pytest.approx(1 - 0.05 ** (1 / 30), abs=1e-12)


@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_two_sided_interval_is_that_of_clopper_and_pearson(counts):
    hits, trials = counts
    expected = binomtest(hits, trials).proportion_ci(0.95, method="exact")
    assert interval(hits, trials) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_no_trials_leave_everything_open():
    assert (at_least(0, 0), at_most(0, 0)) == (0.0, 1.0)


@pytest.mark.parametrize(("hits", "trials"), [(-1, 3), (4, 3)])
def test_no_proportion_is_refused(hits, trials):
    with pytest.raises(ValueError, match="no proportion"):
        at_most(hits, trials)
