"""The rule of a guard's run, on suspects made up of numbers."""

import math

import numpy as np
import pytest
from scipy import stats

from spellmark.evidence.mark_evidence import MarkEvidence, Place, Question
from spellmark.evidence.mark_rule import (
    MarkRule,
    MarkRuleError,
    MarkRun,
)
from spellmark.evidence.verdicts import INCONCLUSIVE, MATCH, NO_MATCH

CLASSES = 10
RULE = MarkRule(classes=CLASSES, strength=50, probes=60)


def answers(chance, count=60):
    """Sure answers whose best classes come one after the other."""
    table = chance.dirichlet(np.full(CLASSES, 0.2), count)
    tops = np.arange(count) % CLASSES
    best = table.argmax(1)
    rows = np.arange(count)
    table[rows, best], table[rows, tops] = table[rows, tops], table[rows, best]
    table[rows, tops] += 9
    return table / table.sum(1, keepdims=True)


def key(seed):
    drawn = np.random.default_rng(seed).integers(0, 2, (2, CLASSES, CLASSES)) * 2 - 1
    return lambda place: int(drawn[int(place.kind == "label"), place.first, place.other])


def marked(table, signs, mass=0.05):
    """As a perfect copy of a guarded model would answer."""
    result = table.copy()
    for row in result:
        top = int(row.argmax())
        plus = [j for j in range(CLASSES) if j != top and signs(Place("tail", 0, top, j)) > 0]
        row *= 1 - mass
        row[plus] += mass / len(plus)
    return result


def run(reference, given, rule=RULE, keys=None):
    found = MarkRun(rule, keys or {"": key(1)})
    for asked, row in zip(reference, given, strict=True):
        found.add(Question(tuple(asked.tolist()), 0), row.tolist())
        if found.decided:
            break
    return found.decide()


@pytest.fixture
def reference():
    return answers(np.random.default_rng(7))


@pytest.fixture
def innocent():
    """Another model's answers to the same inputs: the same classes, tails of its own."""
    return answers(np.random.default_rng(8))


def test_a_copy_is_found_after_a_few_questions(reference):
    decision = run(reference, marked(answers(np.random.default_rng(9)), key(1)))
    assert decision.verdict == MATCH
    assert decision.p_value <= 1e-6
    assert decision.reason.endswith("The suspect shows probabilities.")
    assert decision.queries == 32
    assert len(decision.outcome.growth) == decision.queries
    assert decision.outcome.growth[-1] >= RULE.line > decision.outcome.growth[-2]
    assert math.isclose(RULE.line, math.log10(4 / 1e-6))


def test_a_strong_copy_is_found_before_the_first_look(reference):
    decision = run(reference, marked(reference, key(1), mass=0.1))
    assert decision.verdict == MATCH
    assert decision.queries < 10


def test_what_was_answered_takes_the_place_of_the_last_look(reference):
    copy = marked(answers(np.random.default_rng(9)), key(1))
    decision = run(reference[:31], copy[:31])
    assert (decision.verdict, decision.queries) == (MATCH, 31)
    growth = decision.outcome.growth
    assert growth[-1] >= RULE.line > growth[-2]
    assert decision.p_value == pytest.approx(RULE.p_value_of(growth[-1]), rel=1e-3)


def test_looks_double():
    assert MarkRule(classes=CLASSES, strength=50, probes=100).looks == (16, 32, 64, 100)
    assert MarkRule(classes=CLASSES, strength=50, probes=12).looks == (12,)


def test_an_innocent_is_not(reference, innocent):
    decision = run(reference, innocent)
    assert decision.verdict == NO_MATCH
    assert decision.queries == 60
    assert decision.p_value > 1e-3


def test_a_copy_under_another_key_is_innocent(reference, innocent):
    assert run(reference, marked(innocent, key(2))).verdict == NO_MATCH


def test_the_owners_own_model_is_innocent(reference):
    assert run(reference, reference).verdict == NO_MATCH


def test_p_values_of_an_innocent_over_many_keys_are_sub_uniform(reference, innocent):
    p = np.array([run(reference, innocent, keys={"": key(n)}).p_value for n in range(100, 500)])
    for alpha in (0.2, 0.1, 0.05, 0.01):
        assert stats.binomtest(int((p <= alpha).sum()), len(p), alpha, "greater").pvalue > 1e-3


def test_a_t_test_over_questions_would_accuse_innocents():
    """Why it is not used: answers about the same row share their signs."""
    chance, accused = np.random.default_rng(3), 0
    reference = answers(chance, 200)
    # A model that leans somewhere of its own, the same way in each answer of a class.
    habit = chance.normal(size=(CLASSES, CLASSES))
    for n in range(60):
        signs = key(1000 + n)
        scores = [
            np.mean([signs(Place("tail", 0, top, j)) * habit[top, j]
                     for j in range(CLASSES) if j != top]) + chance.normal(scale=0.1)
            for top in reference.argmax(1)
        ]  # fmt: skip
        accused += stats.ttest_1samp(scores, 0, alternative="greater").pvalue <= 0.01
    assert accused > 6  # a tenth, at a nominal hundredth


@pytest.mark.parametrize("degrade", [
    lambda table: np.round(table, 2),
    lambda table: np.round(table, 3),
    lambda table: np.where(table >= np.sort(table, 1)[:, -5:-4], table, 0),
])  # fmt: skip
def test_rounded_and_short_answers_still_tell(reference, degrade):
    copy = degrade(marked(answers(np.random.default_rng(9)), key(1)))
    assert run(reference, copy).verdict == MATCH


def test_no_match_says_what_a_copy_made_from_labels_would_carry(reference, innocent):
    channel = MarkRule(classes=CLASSES, strength=50, probes=60, label_margin=50)
    told = [run(reference, innocent, rule) for rule in (RULE, channel)]
    assert [decision.verdict for decision in told] == [NO_MATCH, NO_MATCH]
    assert ["labels alone" in decision.reason for decision in told] == [True, False]


def test_labels_alone_are_inconclusive(reference):
    copy = np.eye(CLASSES)[reference.argmax(1)]
    decision = run(reference, copy)
    assert decision.verdict == INCONCLUSIVE
    assert "labels" in decision.reason and "no mark" in decision.reason
    assert decision.p_value == 1


def test_flattened_tails_are_inconclusive(reference):
    best = reference.max(1, keepdims=True)
    flat = np.where(reference == best, best, (1 - best) / (CLASSES - 1))
    decision = run(reference, flat)
    assert decision.verdict == INCONCLUSIVE
    assert "nothing" not in decision.reason and "best class" in decision.reason


def test_one_class_for_all_is_inconclusive(reference):
    same = np.tile(reference[:1], (60, 1))
    assert run(reference, same).verdict == INCONCLUSIVE


def test_the_client_who_leaked_is_named(reference):
    keys = {f"client {n}": key(n) for n in range(5)}
    rule = MarkRule(classes=CLASSES, strength=50, probes=60, clients=5)
    decision = run(reference, marked(reference, key(3)), rule, keys)
    assert decision.verdict == MATCH
    assert decision.client == "client 3"
    assert "client 3" in decision.reason
    # So others can redo it without the keys of clients who have nothing to do with it.
    alone = run(reference, marked(reference, key(3)), rule, {"client 3": key(3)})
    assert (alone.p_value, alone.queries) == (decision.p_value, decision.queries)


def test_every_client_costs_a_try(reference, innocent):
    one = run(reference, innocent)
    keys = {f"{n}": key(1) for n in range(4)}
    rule = MarkRule(classes=CLASSES, strength=50, probes=60, clients=4)
    assert run(reference, innocent, rule, keys).p_value == min(1, 4 * one.p_value)


def test_evidence_does_not_know_the_key(reference, innocent):
    first = MarkEvidence(CLASSES, 50, 0)
    for asked, row in zip(reference, innocent, strict=True):
        first.add(Question(tuple(asked), 0), row.tolist())
    leans = first.leans()
    assert len(leans) == CLASSES * (CLASSES - 1)
    assert all(-1 <= lean <= 1 for lean in leans.values())
    for top in range(CLASSES):
        row = [lean for place, lean in leans.items() if place.first == top]
        assert abs(np.median(row)) < 1e-9


def test_confidence_is_no_evidence(reference):
    """A suspect that is sharper or softer than the owner's model leans nowhere."""
    sharper = reference.copy()
    sharper[np.arange(60), reference.argmax(1)] *= 4
    sharper /= sharper.sum(1, keepdims=True)
    assert run(reference, sharper).p_value > 1e-3


@pytest.mark.parametrize(("change", "told"), [
    ({"alpha": 0.2}, "false-positive"),
    ({"probes": 0}, "cannot be required"),
    ({"clients": 0}, "no key"),
    ({"classes": 2}, "can show"),
    ({"method": "keyed-labels"}, "method"),
])  # fmt: skip
def test_rules_that_decide_nothing_are_refused(change, told):
    with pytest.raises(MarkRuleError, match=told):
        MarkRule(**{"classes": CLASSES, "strength": 50, **change})


def test_a_run_needs_the_keys_of_its_rule():
    with pytest.raises(MarkRuleError, match="1 keys"):
        MarkRun(RULE, {"a": key(1), "b": key(2)})
