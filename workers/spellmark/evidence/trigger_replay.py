"""A trigger run from its transcript: what is disclosed, and the verdict redone from it.

The standard library and the library's own Merkle tree alone: outsiders verify with this.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from spellmark.evidence.transcript import Exchange
from spellmark.evidence.trigger_leaves import LeavesError, Opening, check_opening, draw_leaves
from spellmark.evidence.trigger_pool import AskedReference, PoolControl, control, controlled
from spellmark.evidence.trigger_rule import TriggerDecision, TriggerRule, decided


@dataclass(frozen=True)
class TriggerDisclosure:
    """What a transcript tells once the answers are in, so that anyone can redo the test.

    seed: the run's, 32 bytes, from which its triggers were drawn. root: of the registered tree.
    owner: whose id goes into all triggers. openings: of the triggers that were asked about, by
    their number; nothing is told of the others. pool: what innocent models say to the same.
    """

    seed: bytes
    root: str
    owner: str
    openings: Mapping[int, Opening]
    pool: tuple[AskedReference, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The header's part, ready for JSON."""
        return {
            "root": self.root,
            "owner": self.owner,
            "openings": {str(leaf): one.as_dict() for leaf, one in sorted(self.openings.items())},
            "pool": [one.as_dict() for one in self.pool],
        }

    @classmethod
    def read(cls, header: Mapping[str, Any]) -> Self:
        """What a transcript's header tells. Raises KeyError, TypeError, ValueError."""
        return cls(
            seed=bytes.fromhex(header["seed"]),
            root=header["root"],
            owner=header["owner"],
            openings={int(leaf): Opening.read(one) for leaf, one in header["openings"].items()},
            pool=tuple(AskedReference.read(row) for row in header["pool"]),
        )


def replay(
    rule: TriggerRule, told: TriggerDisclosure, exchanges: Iterable[Exchange]
) -> tuple[TriggerDecision, PoolControl]:
    """The rule's verdict on the recorded answers, in the order in which they were asked for, and
    what asking the null pool came to.

    Raises LeavesError where a trigger is not one that the seed draws, was opened before, was left
    out, or is not the registered one; ValueError for another null pool than the registered one.
    """
    drawn = draw_leaves(told.seed, rule.triggers, rule.used, rule.probes)
    asked = list(exchanges)
    if len({exchange.probe for exchange in asked}) < len(asked):
        raise LeavesError("A trigger was asked twice.", hint="Ask for the evidence bundle again.")
    if [exchange.probe for exchange in asked] != list(range(len(asked))):
        raise LeavesError(
            "An answer was left out, or the answers stand in another order.",
            hint="A run counts with every answer that was given. Ask for the bundle again.",
        )
    for exchange in asked:
        _check(exchange, drawn, rule, told)
    decision = decided(
        rule, ((one.label, one.labels[0]) for one in asked if one.state == "answered")
    )
    # Cut off behind a lucky answer, a run would have more looks than its p-value counts.
    ended = decision.p_value <= rule.alpha and decision.queries in rule.looks
    if len(asked) < rule.probes and not ended:
        raise LeavesError(
            "The answers end before the rule does.",
            hint="A run counts with every answer that was given. Ask for the bundle again.",
        )
    found = control(rule, told.pool, [one.label for one in asked])
    return controlled(decision, found), found


def _check(
    exchange: Exchange, drawn: tuple[int, ...], rule: TriggerRule, told: TriggerDisclosure
) -> None:
    leaf = exchange.image_index
    if not 0 <= exchange.probe < len(drawn) or drawn[exchange.probe] != leaf:
        raise LeavesError(
            f"Trigger {leaf} was not drawn for this run.",
            hint="Triggers that somebody picked count for nothing.",
        )
    opening = told.openings[leaf]
    check_opening(
        opening, leaf=leaf, size=rule.triggers, root=told.root, image_sha256=exchange.image_sha256
    )
    if opening.label != exchange.label:
        raise LeavesError(
            f"The label of trigger {leaf} is not the registered one.",
            hint="Ask for the evidence bundle again.",
        )
