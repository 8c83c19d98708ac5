"""The single-page verifier computes every verdict anew, as `spellmark verify` does."""

import hashlib
import json
import random
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
from benchmarks import verdict_transcripts

from spellmark.certificates.bundle import Bundle
from spellmark.certificates.statements import Verdict
from spellmark.errors import SpellmarkError
from spellmark.evidence.fingerprint_rule import RANKED
from spellmark.evidence.recompute import recompute
from spellmark.evidence.transcript import write
from tests.browser.verifier_page import accepts, agree, emptied, own_session, verifier
from tests.spellmark.certificates.certificate_samples import VERDICT, bundle_of
from tests.spellmark.certificates.test_verify_fingerprint import lines_of
from tests.spellmark.certificates.test_verify_transcript import real_bundle
from tests.spellmark.evidence import test_trigger_replay as trigger

__all__ = ["emptied", "own_session", "verifier"]

pytestmark = pytest.mark.browser

ALTERED = 12


def trigger_lines() -> bytes:
    rule, disclosure = trigger.with_pool(*trigger.innocents())
    return write(trigger.header(rule, disclosure), trigger.exchanges())


TRANSCRIPTS = {
    "random-key-test": lambda: real_bundle("random-key-test").transcript,
    "keyed-labels": lambda: real_bundle("keyed-labels").transcript,
    "dynamic-watermark": lambda: verdict_transcripts.dynamic_watermark().lines,
    "trigger-watermark": trigger_lines,
    **{method: lambda method=method: lines_of(method)[1] for method in RANKED},
}


def verdict_of(lines: bytes) -> Verdict:
    """What a transcript gives. Raises SpellmarkError."""
    found = recompute(lines)
    return replace(
        VERDICT,
        transcript_digest=hashlib.sha256(lines).hexdigest(),
        method=found["method"],
        parameters=found["told"],
        evidence_class=found["evidenceClass"],
        statistic=found["statistic"],
        p_value=found["pValue"],
        alpha=found["alpha"],
        smallest_p=found["smallestP"],
        queries=found["queries"],
        verdict=found["verdict"],
    )


def told(verdict: Verdict, lines: bytes) -> bytes:
    digest = hashlib.sha256(lines).hexdigest()
    bundle: Bundle = bundle_of(replace(verdict, transcript_digest=digest), transcript=lines)
    return replace(bundle, answers={}).dumps()


def alter(lines: bytes, chance: random.Random) -> bytes:
    """Another transcript: one value of its header or of an exchange is changed or taken away."""
    rows = [json.loads(line) for line in lines.splitlines()]
    place = 0 if chance.random() < 0.7 else chance.randrange(len(rows))
    value: Any = rows[place]
    while True:
        keys = list(value) if isinstance(value, dict) else range(len(value))
        key = chance.choice(keys)
        if not isinstance(value[key], dict | list) or not value[key]:
            break
        value = value[key]
    if chance.random() < 0.2:
        del value[key]
    else:
        value[key] = another(value[key], chance)
    return b"".join(json.dumps(row, sort_keys=True).encode() + b"\n" for row in rows)


def another(value: Any, chance: random.Random) -> Any:
    """A value near this one, of its type or of another."""
    if isinstance(value, str) and value and chance.random() < 0.6:
        place = chance.randrange(len(value))
        return value[:place] + chance.choice("0f+-") + value[place + 1 :]
    if isinstance(value, int | float) and chance.random() < 0.8:
        return deepcopy(value) + chance.choice((1, -1, 0.25, 1e9))
    return chance.choice((None, "", "x", [], {}, 7, 0.5, True))


@pytest.mark.parametrize("method", TRANSCRIPTS)
def test_a_verdict_is_computed_anew_from_its_transcript(verifier, tmp_path, method):
    lines = TRANSCRIPTS[method]()
    verdict = verdict_of(lines)
    assert agree(verifier, tmp_path, told(verdict, lines)) == set()
    wrong = replace(verdict, queries=verdict.queries + 1)
    assert agree(verifier, tmp_path, told(wrong, lines)) == {"statistic"}
    chance, accepted, refused = random.Random(method), 0, 0
    for _ in range(ALTERED):
        altered = alter(lines, chance)
        refused += not accepts(verifier, tmp_path, told(verdict, altered))
        try:
            theirs = verdict_of(altered)
        except (SpellmarkError, ValueError):
            continue
        accepted += accepts(verifier, tmp_path, told(theirs, altered))
    assert accepted
    assert refused


@pytest.mark.parametrize(
    "change",
    [
        {"p_value": 0.04, "smallest_p": None},
        {"smallest_p": 1e-9},
        {"statistic": 99.0},
        {"alpha": 0.051},
        {"verdict": "no match", "p_value": 0.9},
        {"evidence_class": "indicative"},
        {"parameters": {"earlierRegistration": 4}},
        {"method": "keyed-labels"},
    ],
)
def test_a_verdict_that_its_transcript_does_not_give_is_refused(verifier, tmp_path, change):
    lines = TRANSCRIPTS["random-key-test"]()
    verdict = replace(verdict_of(lines), **change)
    assert agree(verifier, tmp_path, told(verdict, lines)) == {"statistic"}
