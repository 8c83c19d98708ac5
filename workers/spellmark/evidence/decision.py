"""The decision rule of a run: fixed before the first query, applied once after the last."""

from collections.abc import Sequence
from dataclasses import dataclass

from spellmark.errors import SpellmarkError
from spellmark.evidence.random_key_test import random_key_test, smallest_p
from spellmark.evidence.transcript import Exchange, hits_by_slot

MATCH, NO_MATCH, INCONCLUSIVE = "match", "no match", "inconclusive"


class DecisionRuleError(SpellmarkError):
    """A rule under which no run could ever end in a match."""


@dataclass(frozen=True)
class DecisionRule:
    """When a run is a match.

    `alpha` is the registered false-positive rate, `decoys` the number of decoy keys, `probes` the
    number of probe images, `query_cap` the most requests that may be sent, `minimum_probes` how
    many probes must have been answered under every key.
    """

    alpha: float
    decoys: int
    probes: int
    query_cap: int
    minimum_probes: int

    def __post_init__(self) -> None:
        if not 0 < self.alpha <= 0.05:
            raise DecisionRuleError(
                f"A false-positive rate of {self.alpha} is not accepted.",
                hint="Choose alpha above 0 and at most 0.05.",
            )
        if smallest_p(self.decoys) > self.alpha:
            raise DecisionRuleError(
                f"{self.decoys} decoys can show p = {smallest_p(self.decoys):.2g} at the least, "
                f"which is above alpha = {self.alpha:g}.",
                hint="Ask for more decoys or for a larger alpha.",
            )
        if not 0 < self.minimum_probes <= self.probes:
            raise DecisionRuleError(
                f"{self.minimum_probes} of {self.probes} probes cannot be required.",
                hint="Require at least one probe and at most all of them.",
            )


@dataclass(frozen=True)
class Decision:
    """A verdict with the figures it rests on."""

    verdict: str
    reason: str
    statistic: int
    p_value: float
    answered_probes: int
    hits: tuple[int, ...]


def decide(rule: DecisionRule, exchanges: Sequence[Exchange], true: int) -> Decision:
    """Apply the rule to the recorded answers."""
    hits, answered = hits_by_slot(exchanges, rule.decoys + 1)
    result = random_key_test(hits, true)
    classes_seen = {label for exchange in exchanges for label in exchange.labels}
    if answered < rule.minimum_probes:
        verdict = INCONCLUSIVE
        reason = (
            f"Only {answered} of {rule.probes} probes were answered under every key; "
            f"the rule asks for {rule.minimum_probes}."
        )
    elif len(classes_seen) < 2:
        verdict = INCONCLUSIVE
        reason = "The suspect gave the same answer to every query."
    elif result.p_value <= rule.alpha:
        verdict = MATCH
        above = result.decoys_at_or_above
        reason = f"The true key does better than {rule.decoys - above} of {rule.decoys} decoy keys."
    else:
        verdict = NO_MATCH
        reason = (
            f"{result.decoys_at_or_above} of {rule.decoys} decoy keys do as well as the true key."
        )
    return Decision(verdict, reason, result.statistic, result.p_value, answered, tuple(hits))
