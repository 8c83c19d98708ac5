"""The offline check and the transcript's own module together."""

import hashlib
from dataclasses import asdict, replace

import pytest

from spellmark.certificates.verify import verify_bundle, verify_files
from spellmark.evidence import transcript
from spellmark.evidence.decision import DecisionRule
from spellmark.evidence.draws import true_slot
from spellmark.evidence.recompute import recompute
from spellmark.evidence.transcript import Exchange
from tests.spellmark.certificates.certificate_samples import (
    TRUST,
    VERDICT,
    bundle_of,
    verified_without_heavy_libraries,
)

RAW = b'{"label": 7}'
SEED = bytes(range(32))
RULES = {
    "random-key-test": DecisionRule(
        method="random-key-test", alpha=0.05, probes=5, query_cap=100, minimum_probes=4,
        classes=10, decoys=19,
    ),
    "keyed-labels": DecisionRule(
        method="keyed-labels", alpha=0.001, probes=5, query_cap=5, minimum_probes=4, classes=10,
    ),
}  # fmt: skip
LABELS = [3, 1, 4, 0, 5, 9, 2, 6, 8, 7]


def exchange(rule: DecisionRule, number: int) -> Exchange:
    probe, slot = divmod(number, rule.slots)
    label = 5 + probe
    hit = rule.method == "keyed-labels" or slot == true_slot(SEED, rule.decoys)
    return Exchange(
        number=number,
        probe=probe,
        image_index=number,
        image_sha256="00" * 32,
        label=label,
        first_slot=slot,
        request_sha256="00" * 32,
        state="answered",
        status=200,
        answer_sha256=hashlib.sha256(RAW).hexdigest(),
        labels=(LABELS[label] if hit else 99,),
    )


def real_bundle(method="random-key-test", *, says=None, **change):
    rule = RULES[method]
    header = {"rule": asdict(rule), "seed": SEED.hex(), "labels": [LABELS]}
    lines = transcript.write(header, [exchange(rule, n) for n in range(rule.probes * rule.slots)])
    found = recompute(lines)
    verdict = replace(
        VERDICT,
        transcript_digest=hashlib.sha256(lines).hexdigest(),
        method=says or method,
        statistic=found["statistic"],
        p_value=found["pValue"],
        alpha=rule.alpha,
        smallest_p=rule.smallest_p,
        decoys=rule.decoys,
        queries=found["queries"],
    )
    bundle = bundle_of(replace(verdict, **change), transcript=lines)
    return replace(bundle, answers={hashlib.sha256(RAW).hexdigest(): RAW})


@pytest.mark.parametrize(
    ("method", "p"), [("random-key-test", "p 0.05"), ("keyed-labels", f"p {1 / 30240}")]
)
def test_a_true_verdict_is_recomputed(method, p):
    report = verify_files(real_bundle(method), TRUST)
    assert [check.name for check in report.checks if not check.passed] == [
        "witnesses",
        "timestamp",
        "revocation",
    ]
    assert p in report.checks[-1].detail


@pytest.mark.parametrize("method", RULES)
@pytest.mark.parametrize(
    "change",
    [
        {"p_value": 0.0009, "smallest_p": None},
        {"smallest_p": 1e-9},
        {"statistic": 99.0},
        {"alpha": 0.051},
        {"queries": 49},
        {"verdict": "no match", "p_value": 0.9},
    ],
)
def test_a_verdict_that_its_transcript_does_not_give_is_refused(method, change):
    report = verify_files(real_bundle(method, **change), TRUST)
    assert not report.passed
    assert [check.name for check in report.checks if check.passed is False] == ["statistic"]


def test_a_verdict_by_another_method_than_its_transcript_is_refused():
    report = verify_files(real_bundle(says="keyed-labels"), TRUST)
    assert [check.name for check in report.checks if check.passed is False] == ["statistic"]
    assert "its transcript is of a run by 'random-key-test'" in report.checks[-1].detail


@pytest.mark.parametrize(
    "lines", [b"", b"{}\n", b"[" * 100_000, b"\xff", b"1\n2\n", b'{"a":1e999}']
)
def test_a_strange_transcript_is_told_of(lines):
    report = verify_files(replace(real_bundle(), transcript=lines), TRUST)
    assert {"transcript", "answers"} <= {c.name for c in report.checks if c.passed is False}


@pytest.mark.parametrize("method", RULES)
def test_an_outsider_needs_neither_torch_nor_numpy(tmp_path, method):
    verified_without_heavy_libraries(real_bundle(method), tmp_path)
    assert verify_bundle(tmp_path / "bundle.zip", TRUST).passed
