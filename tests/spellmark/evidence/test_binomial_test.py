"""Exact binomial tails, against sums that are done by hand or in another way."""

from fractions import Fraction
from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from spellmark.evidence.binomial_test import binomial_null, binomial_tail


def test_known_tails() -> None:
    assert binomial_tail(0, 5, 10) == 1
    assert binomial_tail(5, 5, 10) == Fraction(1, 10**5)
    assert binomial_tail(1, 2, 2) == Fraction(3, 4)
    assert binomial_tail(6, 5, 10) == 0


def test_the_tail_is_the_share_of_keys_that_fit_as_well_whatever_was_answered() -> None:
    answers, classes = (2, 2, 2, 0, 9), 3  # one of them is no class at all
    labels = list(product(range(classes), repeat=len(answers)))
    hits = [sum(a == b for a, b in zip(answers, key, strict=True)) for key in labels]
    # An answer outside the classes is never a hit, so the tail is above the share: on the safe side
    for wanted in range(6):
        share = Fraction(sum(count >= wanted for count in hits), len(labels))
        assert share <= binomial_tail(wanted, len(answers), classes)
        assert (share == binomial_tail(wanted, 4, classes)) or wanted > 4


@given(st.integers(1, 40), st.integers(2, 100))
def test_the_null_sums_to_one_and_its_tails_are_the_tails(trials: int, classes: int) -> None:
    null = binomial_null(trials, classes)
    assert abs(sum(null) - 1) < 1e-12
    for hits in (0, 1, trials // 2, trials):
        assert abs(sum(null[hits:]) - float(binomial_tail(hits, trials, classes))) < 1e-12
