"""Runs by fingerprint: what their rule demands, how they end, and how outsiders redo them."""

import json
import math
from dataclasses import asdict, replace
from hashlib import sha256

import numpy as np
import pytest

from spellmark.evidence import transcript
from spellmark.evidence.fingerprint_replay import FingerprintDisclosure, replay
from spellmark.evidence.fingerprint_rule import (
    AGREEMENT,
    CORRELATION,
    MIXED,
    WEIGHTS,
    FingerprintRule,
    FingerprintRuleError,
    decide,
)
from spellmark.evidence.null_pool import KINDS, TEST, Reference, digest, scored
from spellmark.evidence.recompute import recompute
from spellmark.evidence.transcript import Exchange, TranscriptError
from spellmark.evidence.verdicts import INCONCLUSIVE, MATCH, NO_MATCH

NONCE = bytes(range(32))
CLASSES = 5
POOL = {
    Reference(kind, sha256(f"{kind} {number}".encode()).hexdigest()): 0.4 + number / 200
    for kind in KINDS
    for number in range(20)
}


def a_rule(method=AGREEMENT, **choices) -> FingerprintRule:
    return FingerprintRule(
        **{
            "method": method, "of_a_kind": 20, "pool_sha256": digest(POOL), "probes": 60,
            "classes": CLASSES,
        } | choices
    )  # fmt: skip


def decided(score, rule=None, pool=None, **choices):
    told = {"answered": 60, "access": "labels", "classes_seen": 5} | choices
    return decide(rule or a_rule(), score, scored(pool or POOL, NONCE), **told)


def owner_answers(seed=0, n=60):
    return np.round(np.random.default_rng(seed).dirichlet(np.full(CLASSES, 0.4), n), 6)


def exchanges(answers, *, labels_only=False, decimals=None):
    shown = answers if decimals is None else np.round(answers, decimals)
    return [
        Exchange(
            number=n, probe=n, image_index=n, image_sha256="0" * 64, label=0, first_slot=0,
            request_sha256="0" * 64, state="answered", level="labels",
            labels=(int(row.argmax()),),
            probabilities=() if labels_only else tuple(row.tolist()),
        )
        for n, row in enumerate(shown)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("score", "verdict"), [(0.9, MATCH), (0.5, INCONCLUSIVE), (0.45, NO_MATCH), (0.2, NO_MATCH)]
)
def test_verdicts(score, verdict):
    decision = decided(score)
    assert decision.verdict == verdict
    if verdict == MATCH:
        assert "not a proof" in decision.reason


def test_a_method_that_accuses_an_innocent_model_accuses_nobody():
    halves = {one.reference: one.half for one in scored(POOL, NONCE)}
    spoilt = next(one for one, half in halves.items() if half == TEST)
    decision = decided(0.99, pool=POOL | {spoilt: 0.95})
    assert decision.verdict == INCONCLUSIVE
    assert decision.reason.startswith("Void")
    assert decision.outcome.ranking.void


@pytest.mark.parametrize("choices", [{"answered": 19}, {"classes_seen": 1}])
def test_too_little_is_inconclusive(choices):
    assert decided(0.99, **choices).verdict == INCONCLUSIVE


def test_weights_of_another_architecture_are_inconclusive():
    rule = a_rule(WEIGHTS)
    assert decided(None, rule, answered=0).verdict == INCONCLUSIVE
    assert decided(0.99, rule, answered=0).verdict == MATCH


@pytest.mark.parametrize(
    "choices",
    [
        {"of_a_kind": 18},
        {"alpha": 0.01},
        {"alpha": 0.2},
        {"variant": MIXED},
        {"variant": "hand-picked"},
        {"kernel": "other"},
        {"margin": -1.0},
        {"probes": 10},
        {"method": "guess"},
    ],
)
def test_rules_that_cannot_be_kept_are_refused(choices):
    with pytest.raises(FingerprintRuleError):
        a_rule(**choices)


def bundle(rule, told, asked):
    header = {"method": rule.method, "rule": asdict(rule), "seed": NONCE.hex(), **told.as_dict()}
    return transcript.write(header, asked)


@pytest.mark.parametrize("method", [AGREEMENT, CORRELATION])
@pytest.mark.parametrize("shown", [{}, {"labels_only": True}, {"decimals": 2}])
def test_outsiders_reach_the_same_figures_from_the_transcript(method, shown):
    rule, owner = a_rule(method), owner_answers()
    told = FingerprintDisclosure(NONCE, POOL, owner=owner.tolist())
    asked = exchanges(owner, **shown)
    decision = replay(rule, told, asked)
    assert decision.verdict == MATCH
    assert decision.outcome.score == pytest.approx(1.0)
    found = recompute(bundle(rule, told, asked))
    assert found["statistic"] == decision.outcome.score
    assert found["pValue"] == decision.outcome.p_value == 1 / 21
    assert found["queries"] == 60


def test_a_stranger_is_no_match():
    rule = a_rule()
    told = FingerprintDisclosure(NONCE, POOL, owner=owner_answers().tolist())
    assert replay(rule, told, exchanges(owner_answers(seed=3))).verdict == NO_MATCH


def test_a_pool_other_than_the_registered_one_is_refused():
    rule, owner = a_rule(), owner_answers()
    thinned = dict(list(POOL.items())[1:])
    told = FingerprintDisclosure(NONCE, thinned, owner=owner.tolist())
    with pytest.raises(TranscriptError):
        recompute(bundle(rule, told, exchanges(owner)))


def test_a_pool_with_fewer_of_a_kind_than_the_rule_tells_is_refused():
    owner = owner_answers()
    some = [one for one in POOL if one.kind != KINDS[-1]]
    for pool in (dict.fromkeys(some, 0.4), dict(list(POOL.items())[1:])):
        rule = a_rule(pool_sha256=digest(pool))
        told = FingerprintDisclosure(NONCE, pool, owner=owner.tolist())
        with pytest.raises(TranscriptError):
            recompute(bundle(rule, told, exchanges(owner)))


def test_an_altered_pool_score_changes_the_recomputed_p():
    rule, owner = a_rule(), owner_answers()
    told = FingerprintDisclosure(NONCE, POOL, owner=owner.tolist())
    whole = bundle(rule, told, exchanges(owner))
    header = json.loads(whole.splitlines()[0])
    header["pool"][0]["score"] = 1.0
    altered = transcript.write(header, exchanges(owner))
    assert recompute(altered)["pValue"] != recompute(whole)["pValue"]


def test_weights_are_ranked_again_from_the_score_told():
    rule = a_rule(WEIGHTS)
    told = FingerprintDisclosure(NONCE, POOL, score=0.97, layers=[{"name": "head.weight"}])
    found = recompute(bundle(rule, told, []))
    assert (found["statistic"], found["pValue"], found["queries"]) == (0.97, 1 / 21, 0)


def test_models_that_the_suspect_labels_otherwise_are_padded():
    """A suspect that names more classes than the owner's model has."""
    rule, owner = a_rule(CORRELATION), owner_answers()
    wider = np.concatenate([owner, np.zeros((len(owner), 2))], axis=1)
    wider[0] = [0, 0, 0, 0, 0, 0, 1]
    told = FingerprintDisclosure(NONCE, POOL, owner=owner.tolist())
    assert replay(rule, told, exchanges(wider)).outcome.score == pytest.approx(1.0, abs=0.02)


def test_the_rule_comes_back_from_json():
    rule = replace(a_rule(CORRELATION), variant=MIXED)
    assert FingerprintRule(**json.loads(json.dumps(asdict(rule)))) == rule


def test_scores_that_overflow_accuse_nobody():
    pool = {one: score * 1e308 * (-1) ** place for place, (one, score) in enumerate(POOL.items())}
    found = decided(1e308, pool=pool)
    assert math.isnan(found.outcome.ranking.threshold) or found.outcome.ranking.threshold > 1e308
    assert found.verdict != MATCH
