"""Transcripts as runs write them at their usual settings, of a suspect that was made up.

A model of ten classes is asked. These are the methods that record most: a thousand labels for each
of 64 probes, 256 answers with all probabilities, and 400 of them with as many of the owner's, each
compared with each other.
"""

import hashlib
import json
import random
from collections.abc import Callable
from dataclasses import asdict, dataclass

from spellmark.evidence import transcript
from spellmark.evidence.decision import RANDOM_KEY_TEST, DecisionRule
from spellmark.evidence.draws import true_slot
from spellmark.evidence.fingerprint_replay import FingerprintDisclosure
from spellmark.evidence.fingerprint_rule import CORRELATION, FingerprintRule
from spellmark.evidence.mark_evidence import Place, Question
from spellmark.evidence.mark_replay import MarkDisclosure
from spellmark.evidence.mark_rule import MarkRule
from spellmark.evidence.null_pool import KINDS, Reference, digest
from spellmark.evidence.transcript import Exchange

CLASSES, DECOYS, OF_A_KIND = 10, 999, 20
KEY_PROBES, QUESTIONS, FINGERPRINT_PROBES = 64, 256, 400
SEED = bytes(range(32))
Row = tuple[float, ...]


@dataclass(frozen=True)
class Recorded:
    """A run's transcript and the raw answers that it names, by their SHA-256."""

    lines: bytes
    answers: dict[str, bytes]


def random_key() -> Recorded:
    """A lock with keyed labels; the suspect gives the key's labels in the true slot alone."""
    chance = random.Random(0)
    permutation = chance.sample(range(CLASSES), CLASSES)
    rule = DecisionRule(
        method=RANDOM_KEY_TEST, alpha=0.001, probes=KEY_PROBES, query_cap=KEY_PROBES,
        minimum_probes=KEY_PROBES * 3 // 4, classes=CLASSES, decoys=DECOYS,
    )  # fmt: skip
    own, told = true_slot(SEED, DECOYS), []
    for _ in range(KEY_PROBES):
        label = chance.randrange(CLASSES)
        given = [chance.randrange(CLASSES) for _ in range(rule.slots)]
        given[own] = permutation[label]
        told.append((label, tuple(given), ()))
    return _recorded({"rule": asdict(rule), "seed": SEED.hex(), "labels": [permutation]}, told)


def dynamic_watermark() -> Recorded:
    """A guard whose mark the suspect does not carry, so that no answer is left out."""
    chance = random.Random(0)
    rule = MarkRule(classes=CLASSES, strength=50, probes=QUESTIONS)
    questions = [Question(_answer(chance), 0) for _ in range(QUESTIONS)]

    def key(place: Place) -> int:
        return 1 - 2 * (hashlib.sha256(repr(place).encode()).digest()[0] & 1)

    disclosed = MarkDisclosure.of(rule, questions, {"": key}).as_dict()
    told = [(0, (), _answer(chance)) for _ in range(QUESTIONS)]
    return _recorded({"rule": asdict(rule), "seed": SEED.hex(), **disclosed}, told)


def correlation() -> Recorded:
    """A fingerprint; the suspect answers almost as the owner's model does."""
    chance = random.Random(0)
    pool = {
        Reference(kind, hashlib.sha256(f"{kind} {number}".encode()).hexdigest()): number / 200
        for kind in KINDS
        for number in range(OF_A_KIND)
    }
    rule = FingerprintRule(
        method=CORRELATION, of_a_kind=OF_A_KIND, pool_sha256=digest(pool),
        probes=FINGERPRINT_PROBES, minimum_probes=FINGERPRINT_PROBES // 4, classes=CLASSES,
    )  # fmt: skip
    owner = [_answer(chance) for _ in range(FINGERPRINT_PROBES)]
    disclosed = FingerprintDisclosure(SEED, pool, owner=owner).as_dict()
    told = [(0, (), _mixed(row, _answer(chance))) for row in owner]
    return _recorded({"rule": asdict(rule), "seed": SEED.hex(), **disclosed}, told)


TRANSCRIPTS: dict[str, Callable[[], Recorded]] = {
    "random_key": random_key,
    "dynamic": dynamic_watermark,
    "correlation": correlation,
}


def _answer(chance: random.Random) -> Row:
    weights = [chance.gammavariate(0.4, 1) for _ in range(CLASSES)]
    return tuple(weight / sum(weights) for weight in weights)


def _mixed(one: Row, other: Row) -> Row:
    return tuple(0.95 * a + 0.05 * b for a, b in zip(one, other, strict=True))


def _recorded(header: dict[str, object], told: list[tuple[int, tuple[int, ...], Row]]) -> Recorded:
    """A transcript of one exchange for each (class, labels given, probabilities given)."""
    exchanges, answers = [], {}
    for number, (label, given, probabilities) in enumerate(told):
        raw = json.dumps({"number": number, "data": probabilities or given}).encode()
        name = hashlib.sha256(raw).hexdigest()
        answers[name] = raw
        best = max(range(CLASSES), key=probabilities.__getitem__) if probabilities else 0
        exchanges.append(
            Exchange(
                number=number, probe=number, image_index=number, image_sha256="00" * 32,
                label=label, first_slot=0, request_sha256="00" * 32, state="answered", status=200,
                seconds=0.01, answer_sha256=name, labels=given or (best,),
                probabilities=probabilities,
            )
        )  # fmt: skip
    return Recorded(transcript.write(header, exchanges), answers)
