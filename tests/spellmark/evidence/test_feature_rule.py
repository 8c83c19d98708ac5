"""Runs against an external feature: their rule, their verdicts, and how outsiders redo them."""

import json
from dataclasses import asdict, replace
from hashlib import sha256

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from spellmark.evidence import transcript
from spellmark.evidence.answer_access import Access
from spellmark.evidence.feature_replay import FeatureDisclosure, replay
from spellmark.evidence.feature_scores import (
    LEAST_PROBABILITY,
    access_of,
    style_score,
    whole_probes,
)
from spellmark.evidence.fingerprint_rule import (
    FEATURE,
    FEATURE_GRADIENTS,
    FingerprintRule,
    FingerprintRuleError,
    decide,
)
from spellmark.evidence.null_pool import KINDS, TEST, Reference, digest, scored
from spellmark.evidence.recompute import recompute
from spellmark.evidence.transcript import Exchange, TranscriptError
from spellmark.evidence.verdicts import INCONCLUSIVE, MATCH, NO_MATCH
from spellmark.watermarks.external_feature.examine import style_scores

NONCE = bytes(range(32))
CLASSES, PROBES = 4, 40
POOL = {
    Reference(kind, sha256(f"{kind} {number}".encode()).hexdigest()): -1.5 + number / 100
    for kind in KINDS
    for number in range(19)
}


def a_rule(method=FEATURE, **choices) -> FingerprintRule:
    return FingerprintRule(
        **{
            "method": method, "of_a_kind": 19, "pool_sha256": digest(POOL), "probes": PROBES,
            "classes": CLASSES,
        } | choices
    )  # fmt: skip


def decided(score, control, method=FEATURE, **choices):
    told = {"answered": PROBES, "access": "probabilities", "classes_seen": 4} | choices
    pool = scored(POOL, NONCE)
    return decide(a_rule(method), score, pool, control=(control, pool), **told)


def answers(sure, seed=0, n=PROBES):
    """Probabilities that give the true class of each probe this much."""
    draw = np.random.default_rng(seed)
    rest = draw.dirichlet(np.ones(CLASSES - 1), n) * (1 - sure)
    places = np.arange(n) % CLASSES
    rows = np.empty((n, CLASSES))
    for row, place, others in zip(rows, places, rest, strict=True):
        row[place] = sure
        row[np.arange(CLASSES) != place] = others
    return np.round(rows, 6)


def exchanges(plain, styled, control, *, labels_only=False):
    found = []
    for probe in range(len(plain)):
        for slot, rows in enumerate((plain, styled, control)):
            row = rows[probe]
            found.append(
                Exchange(
                    number=3 * probe + slot, probe=probe, image_index=probe,
                    image_sha256="0" * 64, label=probe % CLASSES, first_slot=slot,
                    request_sha256="0" * 64, state="answered", level="probabilities",
                    labels=(int(row.argmax()),),
                    probabilities=() if labels_only else tuple(row.tolist()),
                )
            )  # fmt: skip
    return found


def told(**choices):
    return FeatureDisclosure(**{"nonce": NONCE, "pool": POOL, "control": POOL} | choices)


@pytest.mark.parametrize(
    ("score", "verdict"), [(-0.1, MATCH), (-1.3, INCONCLUSIVE), (-1.4, NO_MATCH), (-3, NO_MATCH)]
)
@pytest.mark.parametrize("method", [FEATURE, FEATURE_GRADIENTS])
def test_verdicts(score, verdict, method):
    decision = decided(score, -2.0, method)
    assert decision.verdict == verdict, decision.reason
    if verdict == MATCH:
        assert "not a proof" in decision.reason


def test_a_suspect_that_bears_any_style_is_accused_of_nothing():
    decision = decided(-0.1, -0.1)
    assert decision.verdict == INCONCLUSIVE
    assert "bears styles in general" in decision.reason
    # Both thresholds are the same: less than half as far is no more than learning a style gives.
    assert decided(-0.1, -0.7).verdict == MATCH
    assert decided(-0.1, -0.5).verdict == INCONCLUSIVE
    # What gradients show of a copy is the model itself, which shows in any style; that is said.
    decision = decided(-0.1, -0.1, FEATURE_GRADIENTS)
    assert decision.verdict == MATCH
    assert "in a wrong style as well" in decision.reason
    assert "in a wrong style as well" not in decided(-0.1, -2.0, FEATURE_GRADIENTS).reason


def test_a_method_that_accuses_an_innocent_model_accuses_nobody():
    halves = {one.reference: one.half for one in scored(POOL, NONCE)}
    tested = next(one for one, half in halves.items() if half == TEST)
    pool = scored(POOL | {tested: -0.2}, NONCE)
    control = (-2.0, scored(POOL, NONCE))
    decision = decide(a_rule(), -0.1, pool, answered=PROBES, classes_seen=4, control=control)
    assert decision.verdict == INCONCLUSIVE
    assert decision.reason.startswith("Void")


def test_what_a_rule_demands():
    assert a_rule().query_cap == 3 * PROBES
    assert a_rule(FEATURE_GRADIENTS).query_cap == 0
    for method in (FEATURE, FEATURE_GRADIENTS):
        with pytest.raises(FingerprintRuleError, match="Require at least 20"):
            a_rule(method, probes=19)
        with pytest.raises(FingerprintRuleError, match="this rule needs 19 of each"):
            a_rule(method, of_a_kind=18)


def test_too_few_whole_answers_and_one_class_decide_nothing():
    heard = exchanges(answers(0.9), answers(0.85), answers(0.1))
    # Their first slots alone: no probe is whole.
    assert replay(a_rule(), told(), heard[::3]).verdict == INCONCLUSIVE
    lost = [replace(one, state="lost", labels=()) if one.number % 4 else one for one in heard]
    assert "were answered" in replay(a_rule(), told(), lost).reason
    same = np.tile([0.97, 0.01, 0.01, 0.01], (PROBES, 1))
    decision = replay(a_rule(), told(), exchanges(same, same, same))
    assert "same class" in decision.reason


def test_a_suspect_that_knows_nothing_bears_no_style():
    # Nearly uniform answers lose nothing in any style, so their score is near zero: the best.
    weak = answers(0.2501)
    # An easy wrong style, in which everybody does as well, would not give it away.
    rule, easy = a_rule(), told(control=dict.fromkeys(POOL, 0.1))
    decision = replay(rule, easy, exchanges(weak, weak, weak))
    assert decision.verdict == INCONCLUSIVE
    assert "of both" in decision.reason
    lost = replay(rule, told(), exchanges(answers(0.9), answers(0.3, 1), answers(0.1, 2)))
    assert lost.verdict != MATCH


def test_a_score_is_the_mean_of_log_ratios_or_of_right_answers():
    labels = [0, 1]
    plain, styled = [(0.8, 0.2), (0.5, 0.5)], [(0.4, 0.6), (0.0, 1.0)]
    found = style_score(labels, plain, styled, Access("all"))
    assert found == pytest.approx((np.log(0.4 / 0.8) + np.log(1 / 0.5)) / 2)
    # Of ties the first class counts; labels alone tell who is right.
    assert style_score(labels, plain, styled, Access("labels")) == 0.0
    gone = style_score([0], [(1.0, 0.0)], [(0.0, 1.0)], Access("all"))
    assert gone == pytest.approx(np.log(LEAST_PROBABILITY))


@given(st.integers(0, 2**32), st.sampled_from([Access("all"), Access("all", None, 2),
                                              Access("labels")]))  # fmt: skip
@example(20805, Access("all", None, 2))
def test_numpy_and_the_standard_library_agree(seed, access):
    draw = np.random.default_rng(seed)
    plain, styled = (draw.dirichlet(np.full(CLASSES, 0.3), 30).round(6) for _ in range(2))
    labels = draw.integers(0, CLASSES, 30)
    slow = style_score(labels.tolist(), plain.tolist(), styled.tolist(), access)
    (fast,) = style_scores(labels, [plain], [styled], access)
    assert fast == pytest.approx(slow, abs=1e-9)


def test_a_probe_counts_when_all_three_questions_were_answered():
    heard = exchanges(answers(0.9), answers(0.85), answers(0.1))
    heard[4] = replace(heard[4], state="failed", labels=(), probabilities=())
    probes = whole_probes(heard)
    assert set(probes) == set(range(PROBES)) - {1}
    label, rows = probes[2]
    assert label == 2
    assert [max(row) for row in rows][:2] == [0.9, 0.85]
    assert str(access_of(probes)) == "probabilities"
    labels = whole_probes(exchanges(answers(0.9), answers(0.85), answers(0.1), labels_only=True))
    assert str(access_of(labels)) == "labels"
    assert all(sum(row) == 1 for _, rows in labels.values() for row in rows)


@pytest.mark.parametrize("labels_only", [False, True])
def test_outsiders_redo_a_run_from_its_transcript(labels_only):
    rule = a_rule()
    heard = exchanges(answers(0.9), answers(0.85, 1), answers(0.1, 2), labels_only=labels_only)
    # With labels alone the wrong style cannot cost more than every answer, for the pool neither.
    known = told(control={one: score + 1.2 for one, score in POOL.items()})
    decision = replay(rule, known, heard)
    assert decision.verdict == MATCH, decision.reason
    assert decision.outcome.control.score <= -1
    lines = transcript.write({"rule": asdict(rule), "seed": NONCE.hex(), **known.as_dict()}, heard)
    found = recompute(lines)
    assert found["method"] == FEATURE
    assert found["statistic"] == decision.outcome.score
    assert found["pValue"] == 1 / 20
    assert found["queries"] == 3 * PROBES


def test_outsiders_redo_a_run_by_gradients_from_what_is_told():
    rule = a_rule(FEATURE_GRADIENTS)
    header = {"rule": asdict(rule), "seed": NONCE.hex(), **told(scores=(-0.1, -2.0)).as_dict()}
    found = recompute(transcript.write(header, []))
    assert (found["statistic"], found["pValue"], found["queries"]) == (-0.1, 1 / 20, 0)


@pytest.mark.parametrize("method", [FEATURE, FEATURE_GRADIENTS])
def test_a_transcript_with_another_pool_or_without_scores_is_refused(method):
    heard, scores = exchanges(answers(0.9), answers(0.85), answers(0.1)), None
    if method == FEATURE_GRADIENTS:
        heard, scores = [], (-0.1, -2.0)
    header = {
        "rule": asdict(a_rule(method)), "seed": NONCE.hex(), **told(scores=scores).as_dict(),
    }  # fmt: skip
    recompute(transcript.write(header, heard))
    for name in ("pool", "control"):
        for change in (
            lambda rows: rows[1:],
            lambda rows: [rows[0] | {"score": None}, *rows[1:]],
            lambda rows: [rows[0] | {"sha256": "0" * 64}, *rows[1:]],
            lambda rows: [rows[0] | {"kind": "my cousin"}, *rows[1:]],
        ):
            wrong = json.loads(json.dumps(header))
            wrong[name] = change(wrong[name])
            with pytest.raises(TranscriptError):
                recompute(transcript.write(wrong, heard))
    for missing in ("pool", "control", "scores"):
        with pytest.raises(TranscriptError):
            recompute(transcript.write({k: v for k, v in header.items() if k != missing}, heard))
    if method == FEATURE_GRADIENTS:
        with pytest.raises(TranscriptError):
            recompute(transcript.write(header | {"scores": None}, heard))
