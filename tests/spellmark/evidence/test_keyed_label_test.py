"""The keyed-label test against plain enumeration, and what makes its p-values exact."""

import time
from fractions import Fraction
from itertools import permutations, product
from math import factorial, perm

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spellmark.evidence.keyed_label_test import (
    MOST_CLASSES,
    KeyedLabelError,
    keyed_label_test,
    probe_classes,
    smallest_p,
    subkeys_needed,
)

TOLERANCE = 1e-12


@st.composite
def answered(draw, most_classes=6, most_subkeys=2, most_probes=7):
    """Classes, probes' labels and answers, which may fall outside the classes."""
    classes = draw(st.integers(2, most_classes))
    probes = draw(st.integers(0, most_probes))
    one = st.lists(st.integers(-1, classes), min_size=probes, max_size=probes)
    label = st.lists(st.integers(0, classes - 1), min_size=probes, max_size=probes)
    subkeys = draw(st.integers(1, most_subkeys))
    return classes, draw(label), [draw(one) for _ in range(subkeys)]


def hits_of(labels, answers, chosen):
    return sum(
        given == permutation[label]
        for given_all, permutation in zip(answers, chosen, strict=True)
        for label, given in zip(labels, given_all, strict=True)
    )


@settings(max_examples=60, deadline=None)
@given(answered(most_classes=6, most_subkeys=1), st.randoms())
def test_it_counts_as_enumeration_does(case, chance):
    classes, labels, answers = case
    own = list(range(classes))
    chance.shuffle(own)
    result = keyed_label_test(labels, answers, [own])
    counts = [0] * (len(labels) + 1)
    for other in permutations(range(classes)):
        counts[hits_of(labels, answers, [other])] += 1
    assert result.null == tuple(float(Fraction(n, factorial(classes))) for n in counts)
    assert result.statistic == hits_of(labels, answers, [own])
    above = Fraction(sum(counts[result.statistic :]), factorial(classes))
    assert result.p_value == float(above)


@settings(max_examples=30, deadline=None)
@given(answered(most_classes=4, most_subkeys=2))
def test_two_subkeys_are_counted_as_independent(case):
    classes, labels, answers = case
    own = [list(range(classes))] * len(answers)
    counts = [0] * (len(labels) * len(answers) + 1)
    every = list(permutations(range(classes)))
    for chosen in product(every, repeat=len(answers)):
        counts[hits_of(labels, answers, chosen)] += 1
    total = len(every) ** len(answers)
    assert keyed_label_test(labels, answers, own).null == tuple(
        float(Fraction(n, total)) for n in counts
    )


@settings(max_examples=100, deadline=None)
@given(answered(most_classes=30, most_probes=40))
def test_the_null_sums_to_one_and_p_is_its_tail(case):
    classes, labels, answers = case
    labels = [label % MOST_CLASSES for label in labels]
    own = [list(range(classes))] * len(answers)
    result = keyed_label_test(labels, answers, own)
    assert len(result.null) == len(labels) * len(answers) + 1
    assert sum(result.null) == pytest.approx(1, abs=TOLERANCE)
    assert result.p_value == pytest.approx(sum(result.null[result.statistic :]), abs=TOLERANCE)
    assert result.p_value >= smallest_p(classes, len(labels), len(answers)) or not labels


@settings(max_examples=40, deadline=None)
@given(answered(most_classes=4, most_subkeys=2))
def test_over_all_permutations_it_never_promises_too_much(case):
    """Exactness: with every permutation as the key's equally often, P(p <= a) <= a for every a."""
    classes, labels, answers = case
    every = product(permutations(range(classes)), repeat=len(answers))
    p_values = [keyed_label_test(labels, answers, chosen).p_value for chosen in every]
    for alpha in set(p_values):
        assert sum(p <= alpha for p in p_values) / len(p_values) <= alpha + TOLERANCE


@given(answered(), st.data())
def test_a_hit_more_never_makes_the_p_value_larger_on_the_same_answers(case, data):
    classes, labels, answers = case
    some = st.permutations(range(classes))
    one, other = (
        keyed_label_test(labels, answers, [data.draw(some) for _ in answers]) for _ in range(2)
    )
    assert (one.statistic > other.statistic) <= (one.p_value <= other.p_value)


def test_perfect_answers_reach_the_floor():
    own = [3, 1, 4, 0, 5, 9, 2, 6, 8, 7]
    labels = list(range(10)) * 6
    result = keyed_label_test(labels, [[own[label] for label in labels]], [own])
    assert result.statistic == 60
    assert result.p_value == smallest_p(10, 60, 1) == 1 / factorial(10)


def test_constant_answers_show_nothing():
    labels = list(range(10)) * 6
    assert keyed_label_test(labels, [[7] * 60], [list(range(10))]).p_value == 1


def test_answers_that_are_no_classes_are_never_hits():
    labels = list(range(3)) * 4
    result = keyed_label_test(labels, [[-1] * 6 + [3] * 6], [[0, 1, 2]])
    assert (result.statistic, result.p_value, result.null[0]) == (0, 1, 1)


def test_relabelled_answers_lose_the_claim_without_turning_it_around():
    own = [1, 2, 3, 4, 0]
    labels = list(range(5)) * 5
    result = keyed_label_test(labels, [labels], [own])
    assert (result.statistic, result.p_value) == (0, 1)


@pytest.mark.parametrize("guesses", [0.0, 0.5, 1.0])
def test_a_thousand_classes_are_counted_quickly(guesses):
    generator = np.random.default_rng(0)
    labels = np.resize(generator.choice(1000, MOST_CLASSES, replace=False), 64)
    own = generator.permutation(1000)
    wild = generator.integers(0, 1000, 64)
    answers = [np.where(generator.random(64) < guesses, wild, own[labels]) for _ in range(2)]
    begin = time.perf_counter()
    result = keyed_label_test(labels, answers, [own, own])
    assert time.perf_counter() - begin < 10
    assert result.p_value == 1 or result.p_value >= smallest_p(1000, 64, 2)
    assert (guesses == 0.0) == (result.p_value == smallest_p(1000, 64, 2))


def test_what_a_float_cannot_hold_is_rounded_up():
    assert smallest_p(1000, 64, 1) == float(Fraction(1, perm(1000, 12)))
    assert smallest_p(1000, 64, 32) == 1e-300
    labels = list(range(12))
    result = keyed_label_test(labels, [labels] * 32, [list(range(1000))] * 32)
    assert result.p_value == 1e-300


@pytest.mark.parametrize(
    ("classes", "alpha", "subkeys"), [(2, 0.05, 5), (2, 1e-6, 20), (3, 0.05, 2), (10, 1e-6, 1)]
)
def test_the_subkeys_needed_are_enough_and_not_too_many(classes, alpha, subkeys):
    assert subkeys_needed(alpha, classes, 64) == subkeys
    assert smallest_p(classes, 64, subkeys) <= alpha
    assert subkeys == 1 or smallest_p(classes, 64, subkeys - 1) > alpha


def test_the_floor_counts_the_classes_that_are_shown():
    assert [probe_classes(*sizes) for sizes in ((10, 64), (10, 4), (1000, 64))] == [10, 4, 12]
    assert smallest_p(10, 4, 1) == 1 / (10 * 9 * 8 * 7)


@pytest.mark.parametrize(
    ("labels", "answers", "own"),
    [
        ([0, 1], [[0]], [[0, 1]]),
        ([0, 1], [[0, 1]], [[0, 1], [0, 1]]),
        ([0, 1], [[0, 1]], [[0, 0]]),
        ([0, 1], [[0, 1], [0, 1]], [[0, 1], [0, 1, 2]]),
        ([0, 2], [[0, 1]], [[0, 1]]),
        (list(range(13)), [list(range(13))], [list(range(13))]),
        ([], [], []),
    ],
)
def test_it_refuses_what_does_not_belong_together(labels, answers, own):
    with pytest.raises(KeyedLabelError) as refused:
        keyed_label_test(labels, answers, own)
    assert refused.value.hint


def test_p_values_of_innocents_keep_their_promise():
    """Innocents whose answers follow the image's class, or a habit, tried with many keys."""
    generator = np.random.default_rng(5)
    labels = np.resize(np.arange(10), 64)
    habit = generator.choice(10, 64, p=[0.7, *[0.3 / 9] * 9])
    confused = np.where(generator.random(64) < 0.8, labels, habit)
    for answers in (labels, habit, confused):
        p_values = np.asarray([
            keyed_label_test(labels, [answers], [generator.permutation(10)]).p_value
            for _ in range(1000)
        ])  # fmt: skip
        for alpha in (0.01, 0.05, 0.2):
            bound = alpha + 4 * np.sqrt(alpha * (1 - alpha) / 1000)
            assert np.mean(p_values <= alpha) <= bound
