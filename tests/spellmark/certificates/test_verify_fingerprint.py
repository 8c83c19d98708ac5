"""The offline check of verdicts that rank a suspect in a null pool, from real transcripts."""

import hashlib
from copy import deepcopy
from dataclasses import asdict, replace

import pytest

from spellmark.certificates.verify import verify_files
from spellmark.evidence import transcript
from spellmark.evidence.fingerprint_replay import FingerprintDisclosure
from spellmark.evidence.fingerprint_rule import (
    AGREEMENT,
    CORRELATION,
    FEATURE,
    FEATURE_GRADIENTS,
    WEIGHTS,
)
from spellmark.evidence.null_pool import TEST, split
from spellmark.evidence.recompute import recompute
from tests.spellmark.certificates.certificate_samples import (
    TRUST,
    VERDICT,
    bundle_of,
    verified_without_heavy_libraries,
)
from tests.spellmark.evidence import test_feature_rule as feature
from tests.spellmark.evidence import test_fingerprint_rule as fingerprint

NONCE = fingerprint.NONCE
KINDS = ("other data", "same data", "same data and architecture")
# Of 60 models that score 0.4 to 0.495, and of 57 that score -1.5 to -1.32, halves by NONCE.
FINGERPRINT_POOL = {
    "sha256": "03348968f539216ef94e3c0603adb047e4bd13ea322fb72460c4da2ab384d799",
    "kinds": dict.fromkeys(KINDS, 20), "models": 60, "threshold": 0.5375, "tested": 30,
    "falsePositives": 0, "falsePositiveRateAtMost": 0.095034, "void": False,
}  # fmt: skip
FEATURE_POOL = {
    "sha256": "92cfd23dcf6074e0866684f0a1c38604bb230f3d942fb8984257486906268f9e",
    "kinds": dict.fromkeys(KINDS, 19), "models": 57, "threshold": -1.24, "tested": 27,
    "falsePositives": 0, "falsePositiveRateAtMost": 0.105019, "void": False,
}  # fmt: skip
WRONG_STYLE = {"score": -2.197225, "pValue": 1.0, "threshold": -1.24, "atOrAbove": 57}
ASKED = {
    "classes": 5, "variant": "wrong", "kernel": "cosine", "margin": 1.0, "minimumProbes": 20,
    "answeredProbes": 60, "queryCap": 60, "nullPool": FINGERPRINT_POOL,
}  # fmt: skip
STYLED = ASKED | {
    "classes": 4, "answeredProbes": 40, "queryCap": 120, "nullPool": FEATURE_POOL,
    "wrongStyle": WRONG_STYLE,
}  # fmt: skip
# What a certificate says of each, written down by hand.
PARAMETERS = {
    AGREEMENT: ASKED,
    CORRELATION: ASKED,
    WEIGHTS: ASKED | {"answeredProbes": 0, "queryCap": 0},
    FEATURE: STYLED,
    FEATURE_GRADIENTS: STYLED | {"queryCap": 0, "wrongStyle": WRONG_STYLE | {"score": -2.0}},
}


def lines_of(method):
    """The transcript of a run in which a copy was asked."""
    if method in (FEATURE, FEATURE_GRADIENTS):
        rule = feature.a_rule(method)
        scores = (-0.1, -2.0) if method == FEATURE_GRADIENTS else None
        told, heard = feature.told(scores=scores), []
        if method == FEATURE:
            shown = feature.answers(0.9), feature.answers(0.85, 1), feature.answers(0.1, 2)
            heard = feature.exchanges(*shown)
        header = {"rule": asdict(rule), "seed": NONCE.hex(), **told.as_dict()}
        return rule, transcript.write(header, heard)
    rule, pool = fingerprint.a_rule(method), fingerprint.POOL
    if method == WEIGHTS:
        told = FingerprintDisclosure(NONCE, pool, score=0.97)
        return rule, fingerprint.bundle(rule, told, [])
    owner = fingerprint.owner_answers()
    told = FingerprintDisclosure(NONCE, pool, owner=owner.tolist())
    return rule, fingerprint.bundle(rule, told, fingerprint.exchanges(owner))


def bundle(method, parameters=None, *, lines=None, **change):
    rule, written = lines_of(method)
    lines = lines or written
    found = recompute(lines)
    verdict = replace(
        VERDICT,
        transcript_digest=hashlib.sha256(lines).hexdigest(),
        method=method,
        parameters=PARAMETERS[method] if parameters is None else parameters,
        evidence_class="indicative",
        statistic=found["statistic"],
        p_value=found["pValue"],
        alpha=rule.alpha,
        smallest_p=rule.smallest_p,
        decoys=0,
        queries=found["queries"],
        verdict=found["verdict"],
    )
    return replace(bundle_of(replace(verdict, **change), transcript=lines), answers={})


def refused(bundle):
    """What the failed checks say, by their names."""
    report = verify_files(bundle, TRUST)
    return {check.name: check.detail for check in report.checks if check.passed is False}


def altered(parameters, path, value):
    """The parameters with another value at a dotted path; None takes it away."""
    changed = deepcopy(parameters)
    *above, last = path.split(".")
    place = changed
    for name in above:
        place = place[name]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return changed


@pytest.mark.parametrize("method", PARAMETERS)
def test_a_certificate_that_tells_what_its_transcript_gives_is_believed(method):
    report = verify_files(bundle(method), TRUST)
    assert report.passed, report.checks
    assert report.statement.verdict == "match"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("nullPool", None),
        ("nullPool", 57),
        ("nullPool.sha256", "0" * 64),
        ("nullPool.kinds.same data", 40),
        ("nullPool.kinds.same data", None),
        ("nullPool.kinds.my cousins", 3),
        ("nullPool.models", 600),
        ("nullPool.threshold", 0.3),
        ("nullPool.tested", 300),
        ("nullPool.falsePositives", 1),
        ("nullPool.falsePositiveRateAtMost", 0.01),
        ("nullPool.falsePositiveRateAtMost", None),
        ("nullPool.void", True),
        ("nullPool.passed", 0),
        ("classes", 3),
        ("variant", "jpeg"),
        ("kernel", "rbf"),
        ("margin", 3.0),
        ("minimumProbes", 400),
        ("answeredProbes", 400),
        ("queryCap", 10),
    ],
)
@pytest.mark.parametrize("method", [AGREEMENT, WEIGHTS, FEATURE])
def test_what_is_told_otherwise_is_refused_by_its_name(method, path, value):
    forged = bundle(method, altered(PARAMETERS[method], path, value))
    told = f"The certificate's {path} is not the one that its transcript tells."
    assert refused(forged) == {"statistic": told}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("wrongStyle", None),
        ("wrongStyle.score", -3.0),
        ("wrongStyle.pValue", 0.9),
        ("wrongStyle.threshold", -1.0),
        ("wrongStyle.atOrAbove", 56),
        ("wrongStyle.atOrAbove", None),
    ],
)
@pytest.mark.parametrize("method", [FEATURE, FEATURE_GRADIENTS])
def test_a_wrong_style_that_is_told_otherwise_is_refused_by_its_name(method, path, value):
    forged = bundle(method, altered(PARAMETERS[method], path, value))
    told = f"The certificate's {path} is not the one that its transcript tells."
    assert refused(forged) == {"statistic": told}


@pytest.mark.parametrize("method", PARAMETERS)
def test_a_lead_cannot_be_sold_as_a_proof(method):
    told = f"The certificate calls its evidence verified, but a run by {method!r} is indicative."
    assert refused(bundle(method, evidence_class="verified")) == {"statistic": told}


def test_a_void_claim_cannot_be_told_as_a_whole_one():
    rule, owner = fingerprint.a_rule(), fingerprint.owner_answers()
    halves = split(fingerprint.POOL, NONCE)
    accused = next(one for one, half in halves.items() if half == TEST)
    told = FingerprintDisclosure(NONCE, fingerprint.POOL | {accused: 0.99}, owner=owner.tolist())
    lines = fingerprint.bundle(rule, told, fingerprint.exchanges(owner))
    found = recompute(lines)["told"]
    assert (found["nullPool"]["void"], found["nullPool"]["models"]) == (True, 60)
    assert not refused(bundle(AGREEMENT, found, lines=lines))
    assert set(refused(bundle(AGREEMENT, lines=lines))) == {"statistic"}


def test_what_could_not_be_ranked_tells_no_figures():
    rule = fingerprint.a_rule(WEIGHTS)
    lines = fingerprint.bundle(rule, FingerprintDisclosure(NONCE, fingerprint.POOL), [])
    pool = {name: FINGERPRINT_POOL[name] for name in ("sha256", "kinds")}
    honest = PARAMETERS[WEIGHTS] | {"nullPool": pool}
    assert not refused(bundle(WEIGHTS, honest, lines=lines))
    told = refused(bundle(WEIGHTS, lines=lines))
    assert told == {
        "statistic": "The certificate's nullPool.models is not the one that its transcript tells."
    }


def test_a_style_that_nobody_answered_in_has_no_figures():
    header = {
        "rule": asdict(feature.a_rule()), "seed": NONCE.hex(), **feature.told().as_dict(),
    }  # fmt: skip
    lines = transcript.write(header, [])
    pool = {name: FEATURE_POOL[name] for name in ("sha256", "kinds")}
    honest = STYLED | {"answeredProbes": 0, "nullPool": pool, "wrongStyle": None}
    assert not refused(bundle(FEATURE, honest, lines=lines))
    invented = honest | {"wrongStyle": WRONG_STYLE}
    assert "wrongStyle" in refused(bundle(FEATURE, invented, lines=lines))["statistic"]


@pytest.mark.parametrize("method", [CORRELATION, FEATURE])
def test_an_outsider_needs_neither_torch_nor_numpy(tmp_path, method):
    verified_without_heavy_libraries(bundle(method), tmp_path)
