"""The offline check and the transcript's own module together."""

import hashlib
import subprocess
import sys
from dataclasses import replace

import pytest

from spellmark.certificates.verify import verify_bundle, verify_files
from spellmark.evidence import transcript
from spellmark.evidence.transcript import Exchange
from tests.spellmark.certificates.certificate_samples import TRUST, VERDICT, bundle_of

RAW = b'{"label": 7}'
DECOYS = 9


def exchange(number: int, slot: int) -> Exchange:
    digest = hashlib.sha256(RAW).hexdigest()
    return Exchange(
        number=number,
        probe=number // (DECOYS + 1),
        image_index=number,
        image_sha256="00" * 32,
        label=7,
        first_slot=slot,
        request_sha256="00" * 32,
        state="answered",
        status=200,
        answer_sha256=digest,
        labels=(7 if slot == 3 else 1,),
    )


def real_bundle(**change):
    exchanges = [exchange(n, n % (DECOYS + 1)) for n in range(5 * (DECOYS + 1))]
    lines = transcript.write({"decoys": DECOYS, "trueSlot": 3}, exchanges)
    found = transcript.recompute(lines)
    verdict = replace(
        VERDICT,
        transcript_digest=hashlib.sha256(lines).hexdigest(),
        statistic=found["statistic"],
        p_value=found["pValue"],
        alpha=0.2,
        smallest_p=None,
        decoys=DECOYS,
        queries=found["queries"],
    )
    bundle = bundle_of(replace(verdict, **change), transcript=lines)
    return replace(bundle, answers={hashlib.sha256(RAW).hexdigest(): RAW})


def test_a_true_verdict_is_recomputed():
    report = verify_files(real_bundle(), TRUST)
    assert [check for check in report.checks if not check.passed] == []
    assert "p 0.1" in report.checks[-1].detail


@pytest.mark.parametrize("change", [{"p_value": 0.05}, {"statistic": 99.0}, {"queries": 49}])
def test_a_verdict_that_its_transcript_does_not_give_is_refused(change):
    report = verify_files(real_bundle(**change), TRUST)
    assert not report.passed
    assert [check.name for check in report.checks if not check.passed] == ["statistic"]


@pytest.mark.parametrize(
    "lines", [b"", b"{}\n", b"[" * 100_000, b"\xff", b"1\n2\n", b'{"a":1e999}']
)
def test_a_strange_transcript_is_told_of(lines):
    report = verify_files(replace(real_bundle(), transcript=lines), TRUST)
    assert {"transcript", "answers"} <= {c.name for c in report.checks if c.passed is False}


def test_an_outsider_needs_no_torch(tmp_path):
    real_bundle().save(tmp_path / "bundle.zip")
    TRUST.save(tmp_path / "trust.json")
    program = """
import sys
from pathlib import Path
from spellmark.certificates.trust import Trust
from spellmark.certificates.verify import verify_bundle
assert verify_bundle(Path("bundle.zip"), Trust.load(Path("trust.json"))).passed
assert not {"torch", "django", "httpx"} & sys.modules.keys()
"""
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
    assert verify_bundle(tmp_path / "bundle.zip", TRUST).passed
