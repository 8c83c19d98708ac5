"""The null pool: independent models that tell how close an innocent one comes.

A fingerprint's score says little by itself: models that learned the same task from the same data
resemble each other without any theft. So the suspect's score is ranked among those of reference
models that are known to be innocent, of several kinds, model by model and never sample by sample.
One half of the pool, drawn by a rule that was fixed beforehand, sets the threshold; the other half
tells how often that threshold accuses an innocent model. If it accuses a single one, the claim is
void.

The standard library alone: outsiders redo it.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from statistics import median
from typing import Any, Self

from spellmark.evidence.proportions import at_most

OTHER_DATA, SAME_DATA, SAME_ARCHITECTURE = KINDS = (
    "other data", "same data", "same data and architecture",
)  # fmt: skip
TRAINED, UPLOADED, WEAK = SOURCES = ("trained", "uploaded", "weak")
CALIBRATE, TEST = "calibrate", "test"

# So many have to be asked, some of each kind, before anybody is accused by a key's triggers: that
# none of 30 passes leaves a false-positive rate of at most 9.5 % (95 %).
LEAST_MODELS = 30

# Scores come from floating-point sums, whose last digits hang on the machine.
DIGITS = 6

_SPLIT = b"spellmark null pool split v1"
_POOL = b"spellmark null pool v1"


@dataclass(frozen=True, order=True)
class Reference:
    """An innocent model of the pool.

    kind: one of KINDS, as seen from the owner's model. sha256: of its file, 64 hex digits. source:
    TRAINED by the platform itself, UPLOADED by somebody who says that it is independent, or WEAK:
    trained, but so much less accurate than others that it says little of able innocents.
    """

    kind: str
    sha256: str
    source: str = TRAINED

    def __post_init__(self) -> None:
        # One spelling of a digest: in two, a model could stand in a pool twice.
        is_digest = bytes.fromhex(self.sha256).hex() == self.sha256 and len(self.sha256) == 64
        if self.kind not in KINDS or self.source not in SOURCES or not is_digest:
            raise ValueError(f"{self} is no reference model")


@dataclass(frozen=True)
class Scored:
    """A reference model with its half of the pool and its score; None where it has none."""

    reference: Reference
    half: str
    score: float | None


@dataclass(frozen=True)
class Ranking:
    """Where a suspect's score stands in the pool.

    p_value: the largest over the kinds of (1 + #{references at or above}) / (trained references
    + 1), at most 1. at_or_above, models: over all kinds. threshold: from the half that calibrates.
    accused: the references of the whole pool that lie above it, which
    should be none. tested, false_positives, at_most: of the other half, and the largest
    false-positive rate that they leave open with 95 % confidence. closest: the kind of the
    reference that comes closest.
    """

    score: float
    p_value: float
    at_or_above: int
    models: int
    threshold: float
    tested: int
    false_positives: int
    at_most: float
    closest: str
    accused: tuple[Reference, ...]

    @property
    def void(self) -> bool:
        """Whether the method accuses an innocent model: then it may accuse nobody."""
        return bool(self.accused)


def digest(pool: Iterable[Reference]) -> str:
    """64 hex digits that stand for this very pool, registered before the suspect is asked."""
    lines = sorted(f"{one.sha256} {one.kind} {one.source}" for one in pool)
    return hashlib.sha256(b"\n".join([_POOL, *(line.encode() for line in lines)])).hexdigest()


def count_kinds(pool: Iterable[Reference]) -> dict[str, int]:
    """How many models of each of KINDS the pool holds."""
    kinds = [one.kind for one in pool]
    return {kind: kinds.count(kind) for kind in KINDS}


def split(pool: Iterable[Reference], nonce: bytes) -> dict[Reference, str]:
    """Each model's half: of every kind the first in the order of SHA-256(nonce | digest) calibrate.

    Model by model, and drawn only with the run's nonce: nobody picks the half of a model. With an
    odd number of a kind, the half that calibrates has one more. Uploaded ones are split by
    themselves, so that they move none of the others.
    """
    halves: dict[Reference, str] = {}
    for kind, source in product(KINDS, SOURCES):
        order = sorted(
            (one for one in pool if (one.kind, one.source) == (kind, source)),
            key=lambda one: hashlib.sha256(_SPLIT + nonce + bytes.fromhex(one.sha256)).digest(),
        )
        first = (len(order) + 1) // 2
        halves |= dict.fromkeys(order[:first], CALIBRATE) | dict.fromkeys(order[first:], TEST)
    return halves


def scored(scores: Mapping[Reference, float | None], nonce: bytes) -> list[Scored]:
    """The pool with its halves, in the order of kinds and digests; scores are rounded."""
    halves = split(list(scores), nonce)
    return [
        Scored(one, halves[one], None if scores[one] is None else rounded(scores[one] or 0.0))
        for one in sorted(scores)
    ]


def rounded(score: float) -> float:
    """A score as it is compared and recorded."""
    return round(score, DIGITS) + 0.0


def threshold_of(calibrate: Iterable[tuple[str, float]], margin: float) -> float:
    """The threshold that the kinds and scores of the calibrating half set; above it is a match.

    For each kind it lies above the highest score by `margin` times its distance from the kind's
    median; the largest of the kinds counts. The highest score alone would be passed by the highest
    of as many other innocent models every second time. Raises ValueError for no scores.
    """
    lines = []
    by_kind: dict[str, list[float]] = {}
    for kind, score in calibrate:
        by_kind.setdefault(kind, []).append(score)
    for scores in by_kind.values():
        highest = max(scores)
        lines.append(highest + margin * (highest - median(scores)))
    return rounded(max(lines))


def rank(score: float, pool: Sequence[Scored], *, margin: float) -> Ranking:
    """Rank a suspect's score, higher for closer, in the pool.

    If the suspect is as independent as the trained references of any one kind, P(p <= a) <= a for
    every a: kinds come differently close, so each has a rank of its own, and the largest counts.
    Uploaded and weak references can only make a claim harder: they count where they come as
    close as the suspect, never otherwise. References without a score, whose architecture cannot be
    compared with the owner's model, are left out. Raises ValueError for a pool
    of which the calibrating half has no score.
    """
    own = rounded(score)
    known = [(one, one.score) for one in pool if one.score is not None]
    trained = [(one, value) for one, value in known if one.reference.source == TRAINED]
    # Uploaded ones may raise the threshold. A kind that they fill up would lower it.
    threshold = max(_line(known, margin), _line(trained or known, margin))
    above = Counter(one.reference.kind for one, value in known if value >= own)
    models = Counter(one.reference.kind for one, _ in trained)
    tested = [value for one, value in trained if one.half == TEST]
    accused = [one for one, value in known if value > threshold]
    wrong = sum(value > threshold for value in tested)
    return Ranking(
        score=own,
        p_value=min(1.0, max((1 + above[kind]) / (models[kind] + 1) for kind in above | models)),
        at_or_above=above.total(),
        models=models.total(),
        threshold=threshold,
        tested=len(tested),
        false_positives=wrong,
        at_most=at_most(wrong, len(tested)),
        closest=max(known, key=lambda pair: pair[1])[0].reference.kind,
        accused=tuple(one.reference for one in accused),
    )


def _line(known: Iterable[tuple[Scored, float]], margin: float) -> float:
    return threshold_of(
        ((one.reference.kind, value) for one, value in known if one.half == CALIBRATE), margin
    )


def as_rows(pool: Iterable[Scored]) -> list[dict[str, Any]]:
    """The pool for a transcript, ready for JSON."""
    return [
        {
            "sha256": one.reference.sha256,
            "kind": one.reference.kind,
            "source": one.reference.source,
            "half": one.half,
            "score": one.score,
        }
        for one in pool
    ]


@dataclass(frozen=True)
class ToldPool:
    """A pool as a transcript tells it; the halves are drawn anew, never believed."""

    scores: Mapping[Reference, float | None]

    @classmethod
    def read(cls, rows: Iterable[Mapping[str, Any]]) -> Self:
        """Raises KeyError, TypeError, ValueError; the last for a model that stands twice."""
        scores: dict[Reference, float | None] = {}
        for row in rows:
            one = Reference(row["kind"], row["sha256"], row["source"])
            if any(one.sha256 == other.sha256 for other in scores):
                raise ValueError("a model stands in the pool twice")
            scores[one] = None if row["score"] is None else float(row["score"])
            if not math.isfinite(scores[one] or 0.0):
                raise ValueError("a score is no number")
        return cls(scores)
