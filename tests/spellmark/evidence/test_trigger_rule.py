"""The rule of a trigger run: its exact false-positive rate, its looks, its verdicts."""

import random
from fractions import Fraction

import pytest

from spellmark.evidence.binomial_test import binomial_tail
from spellmark.evidence.trigger_rule import TriggerRule, TriggerRuleError, TriggerRun, decided

RULE = TriggerRule(classes=10)


def test_a_copy_is_told_at_the_first_look() -> None:
    found = decided(RULE, [(n % 10, n % 10) for n in range(64)])
    assert (found.verdict, found.queries, found.outcome.statistic) == ("match", 8, 8)
    # Four looks, and half of the first key's half: 16 tries of 10 to the minus 8.
    assert found.p_value == pytest.approx(1.6e-7)
    assert "8 of 8 answers" in found.reason


def test_a_weak_copy_takes_more_triggers() -> None:
    pairs = [(n % 10, n % 10 if n % 2 else (n + 1) % 10) for n in range(64)]
    found = decided(RULE, pairs)
    assert (found.verdict, found.queries) == ("match", 32)
    assert found.p_value == pytest.approx(float(16 * binomial_tail(16, 32, 10)))


def test_what_guesses_is_no_match() -> None:
    draw = random.Random(3)
    pairs = [(draw.randrange(10), draw.randrange(10)) for _ in range(64)]
    found = decided(RULE, pairs)
    assert (found.verdict, found.queries) == ("no match", 64)
    assert len(found.outcome.growth) == 64
    assert abs(sum(found.outcome.null) - 1) < 1e-12


def test_one_answer_to_everything_is_never_a_match() -> None:
    # Even where the labels happen to be that answer.
    found = decided(RULE, [(4, 4)] * 64)
    assert found.verdict == "inconclusive"
    assert "same class" in found.reason


def test_too_few_answers_are_inconclusive() -> None:
    assert decided(RULE, [(1, 1), (2, 2)]).verdict == "inconclusive"
    assert decided(RULE, []).verdict == "inconclusive"


def test_answers_that_failed_leave_a_last_look() -> None:
    found = decided(RULE, [(n % 10, n % 10 if n < 18 else 10) for n in range(20)])
    # 8 of 8 at the first look already.
    assert found.verdict == "match"
    late = decided(RULE, [(n % 10, n % 10 if n % 4 else 10) for n in range(15)])
    assert late.verdict == "match"
    assert late.queries == 15
    assert late.outcome.growth[-1] > late.outcome.growth[-2]


def test_later_keys_and_runs_get_smaller_shares_that_sum_to_alpha() -> None:
    tries = [TriggerRule(classes=10, registration=c, run=r).tries for c, r in ((1, 1), (2, 3))]
    assert tries == [4 * 2 * 2, 4 * 6 * 12]
    spent = sum(
        Fraction(4, TriggerRule(classes=10, registration=c, run=r, alpha=0.01).tries)
        for c in range(1, 40)
        for r in range(1, 40)
    )
    assert Fraction(9, 10) < spent < 1


def test_the_false_positive_rate_holds_exactly() -> None:
    """Of two classes and few triggers, over all keys: an adversary sees each label afterwards."""
    rule = TriggerRule(classes=2, alpha=0.05, probes=10, minimum_probes=1)
    matches = 0
    for key in range(2**10):
        run, told = TriggerRun(rule), []
        for place in range(10):
            label = key >> place & 1
            # Answers what was most often right so far.
            run.add(label, int(sum(told) * 2 > len(told)))
            told.append(label)
            if run.decided:
                break
        matches += run.decided
    assert matches / 2**10 <= 0.05


@pytest.mark.parametrize(
    "wrong",
    [
        {"method": "keyed-labels"},
        {"alpha": 0.5},
        {"minimum_probes": 65},
        {"classes": 1},
        {"run": 0},
        {"least_models": 29},
        {"used": range(200)},
        {"probes": 6, "minimum_probes": 1},
    ],
)
def test_rules_under_which_nothing_could_match_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(TriggerRuleError):
        TriggerRule(**{"classes": 10, **wrong})


def test_the_smallest_p_value_is_never_zero() -> None:
    assert TriggerRule(classes=10_000, probes=256).smallest_p == 1e-300
