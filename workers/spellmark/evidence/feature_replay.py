"""A run against an external feature from its transcript, and the verdict redone from it.

The standard library alone: outsiders verify with this.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from spellmark.evidence.feature_scores import (
    CONTROL,
    PLAIN,
    STYLED,
    access_of,
    style_score,
    whole_probes,
)
from spellmark.evidence.fingerprint_rule import (
    FEATURE_GRADIENTS,
    FingerprintDecision,
    FingerprintRule,
    decide,
)
from spellmark.evidence.null_pool import Reference, Scored, ToldPool, as_rows, digest, scored
from spellmark.evidence.transcript import Exchange

Scores = Mapping[Reference, float | None]


@dataclass(frozen=True)
class FeatureDisclosure:
    """What a transcript tells, so that anyone can redo the verdict.

    nonce: the run's, 32 bytes, which splits the pool and draws the wrong style. pool, control:
    every model with its score in the owner's style and in the wrong one. scores: the suspect's two
    by gradients, which outsiders cannot redo without the files and the key; None by answers.
    """

    nonce: bytes
    pool: Scores
    control: Scores
    scores: tuple[float, float] | None = None

    @classmethod
    def read(cls, header: Mapping[str, Any]) -> Self:
        """What a transcript's header tells. Raises KeyError, TypeError, ValueError."""
        scores = header["scores"]
        return cls(
            nonce=bytes.fromhex(header["seed"]),
            pool=ToldPool.read(header["pool"]).scores,
            control=ToldPool.read(header["control"]).scores,
            scores=None if scores is None else (float(scores[0]), float(scores[1])),
        )

    def as_dict(self) -> dict[str, Any]:
        """The header's part beside the seed, ready for JSON."""
        return {
            "pool": as_rows(scored(self.pool, self.nonce)),
            "control": as_rows(scored(self.control, self.nonce)),
            "scores": None if self.scores is None else list(self.scores),
        }


def replay(
    rule: FingerprintRule, told: FeatureDisclosure, exchanges: Iterable[Exchange]
) -> FingerprintDecision:
    """The rule's verdict on the recorded answers.

    Raises ValueError for another pool than the rule's, or one that lacks models or scores.
    """
    for scores in (told.pool, told.control):
        if digest(scores) != rule.pool_sha256 or None in scores.values():
            raise ValueError("the pool is not the one that was registered, or lacks scores")
    pool, wrong = scored(told.pool, told.nonce), scored(told.control, told.nonce)
    rule.check_kinds(pool)
    if rule.method == FEATURE_GRADIENTS:
        if told.scores is None:
            raise ValueError("the suspect has no score")
        score, control = told.scores
        return decide(
            rule, score, pool,
            answered=rule.probes, access="weights", control=(control, wrong),
        )  # fmt: skip
    return _by_answers(rule, pool, wrong, exchanges)


def _by_answers(
    rule: FingerprintRule,
    pool: Sequence[Scored],
    wrong: Sequence[Scored],
    exchanges: Iterable[Exchange],
) -> FingerprintDecision:
    probes = whole_probes(exchanges)
    if not probes:
        return decide(rule, None, pool, access="none")
    access = access_of(probes)
    labels = [label for label, _ in probes.values()]
    plain, styled, control = (
        [slots[slot] for _, slots in probes.values()] for slot in (PLAIN, STYLED, CONTROL)
    )
    seen = {_best(row) for row in plain}
    return decide(
        rule,
        style_score(labels, plain, styled, access),
        pool,
        answered=len(probes),
        access=str(access),
        classes_seen=len(seen),
        control=(style_score(labels, plain, control, access), wrong),
        right=min(_right(labels, plain), _right(labels, styled)),
    )


def _right(labels: Sequence[int], rows: Sequence[Sequence[float]]) -> float:
    return sum(_best(row) == label for label, row in zip(labels, rows, strict=True)) / len(rows)


def _best(row: Sequence[float]) -> int:
    return max(range(len(row)), key=row.__getitem__)
