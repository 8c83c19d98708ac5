"""A run by fingerprint from its transcript: what is disclosed, and the verdict redone from it.

The standard library alone: outsiders verify with this.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from spellmark.evidence.answer_access import Access, AccessReader
from spellmark.evidence.fingerprint_rule import (
    AGREEMENT,
    WEIGHTS,
    FingerprintDecision,
    FingerprintRule,
    decide,
)
from spellmark.evidence.fingerprint_scores import agreement, as_shown, correlation
from spellmark.evidence.null_pool import Reference, ToldPool, as_rows, digest, scored
from spellmark.evidence.transcript import Exchange

Answers = Sequence[Sequence[float]]


@dataclass(frozen=True)
class FingerprintDisclosure:
    """What a transcript tells, so that anyone can redo the verdict.

    nonce: the run's, 32 bytes, which splits the pool. pool: every model with its score, None for
    one that cannot be compared. owner: the owner's probabilities for each probe; none for weights.
    score, layers: of weights, which outsiders cannot redo without both files.
    """

    nonce: bytes
    pool: Mapping[Reference, float | None]
    owner: Answers = ()
    score: float | None = None
    layers: Sequence[Mapping[str, Any]] = ()

    @classmethod
    def read(cls, header: Mapping[str, Any]) -> Self:
        """What a transcript's header tells. Raises KeyError, TypeError, ValueError."""
        score = header["score"]
        return cls(
            nonce=bytes.fromhex(header["seed"]),
            pool=ToldPool.read(header["pool"]).scores,
            owner=tuple(tuple(map(float, row)) for row in header["owner"]),
            score=None if score is None else float(score),
            layers=header["layers"],
        )

    def as_dict(self) -> dict[str, Any]:
        """The header's part beside the seed, ready for JSON."""
        return {
            "pool": as_rows(scored(self.pool, self.nonce)),
            "owner": [list(row) for row in self.owner],
            "score": self.score,
            "layers": [dict(layer) for layer in self.layers],
        }


def replay(
    rule: FingerprintRule, told: FingerprintDisclosure, exchanges: Iterable[Exchange]
) -> FingerprintDecision:
    """The rule's verdict on the recorded answers.

    Raises ValueError for another pool than the rule's, or one that lacks models.
    """
    if digest(told.pool) != rule.pool_sha256:
        raise ValueError("the pool is not the one that was registered")
    pool = scored(told.pool, told.nonce)
    rule.check_kinds(pool)
    if rule.method == WEIGHTS:
        return decide(rule, told.score, pool)
    heard = answers_of(exchanges, 2)
    access = access_of(heard.values())
    labels = {_best(row) for row in heard.values()}
    score = _score(rule, told.owner, heard, access) if heard else 0.0
    return decide(
        rule, score, pool, answered=len(heard), access=str(access), classes_seen=len(labels)
    )


def answers_of(exchanges: Iterable[Exchange], classes: int) -> dict[int, tuple[float, ...]]:
    """The answered probes and what was said of each, all rows of one length.

    A label alone is a probability of one. classes: the suspect tells at least so many apart.
    """
    answered = [exchange for exchange in exchanges if exchange.state == "answered"]
    width = max([classes] + [max(len(one.probabilities), 1 + one.labels[0]) for one in answered])
    return {one.probe: _row(one, width) for one in answered}


def _row(exchange: Exchange, width: int) -> tuple[float, ...]:
    if exchange.probabilities:
        return exchange.probabilities + (0.0,) * (width - len(exchange.probabilities))
    return tuple(float(place == exchange.labels[0]) for place in range(width))


def access_of(rows: Iterable[Sequence[float]]) -> Access:
    """What the answers have in common."""
    heard = list(rows)
    reader = AccessReader(len(heard[0]) if heard else 2)
    for row in heard:
        reader.add(row)
    return reader.access


def _score(
    rule: FingerprintRule, owner: Answers, heard: Mapping[int, Sequence[float]], access: Access
) -> float:
    probes = sorted(heard)
    # Where rounding makes ties, it makes them for both.
    ours = [as_shown(owner[p], access) for p in probes]
    if rule.method == AGREEMENT:
        return agreement([_best(row) for row in ours], [_best(heard[p]) for p in probes])
    return correlation(ours, [as_shown(heard[p], access) for p in probes], rule.kernel)


def _best(row: Sequence[float]) -> int:
    return max(range(len(row)), key=row.__getitem__)
