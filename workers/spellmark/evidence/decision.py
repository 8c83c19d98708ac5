"""The decision rule of a run: fixed before the first query, applied once after the last."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, starmap
from operator import eq

from spellmark.errors import SpellmarkError
from spellmark.evidence import keyed_label_test, random_key_test
from spellmark.evidence.draws import decoy_labels, true_slot
from spellmark.evidence.transcript import Exchange, complete_answers
from spellmark.evidence.verdicts import INCONCLUSIVE, MATCH, NO_MATCH
from spellmark.locks.key_lock.parameters import MOST_SUBKEYS

KEYED_LABELS, RANDOM_KEY_TEST = METHODS = ("keyed-labels", "random-key-test")


MOST_ALPHA = 0.05
_USUAL_ALPHAS = (1e-6, 1e-3, 1e-2, MOST_ALPHA)


class DecisionRuleError(SpellmarkError):
    """A rule under which no run could ever end in a match."""


@dataclass(frozen=True, kw_only=True)
class DecisionRule:
    """When a run is a match.

    `method` is one of METHODS, `alpha` the registered false-positive rate, `probes` the number of
    probe images, `query_cap` the most requests that may be sent, `minimum_probes` how many probes
    must have been answered under every key. `classes` are the model's classes, `subkeys` the
    sub-keys that are asked under, `decoys` the decoy keys beside them; keyed labels need none.

    Raises DecisionRuleError.
    """

    method: str
    alpha: float
    probes: int
    query_cap: int
    minimum_probes: int
    classes: int
    subkeys: int = 1
    decoys: int = 0

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise DecisionRuleError(
                f"There is no method “{self.method}”.", hint=f"Choose one of {', '.join(METHODS)}."
            )
        if not 0 < self.minimum_probes <= self.probes:
            raise DecisionRuleError(
                f"{self.minimum_probes} of {self.probes} probes cannot be required.",
                hint="Require at least one probe and at most all of them.",
            )
        if not 0 < self.alpha <= MOST_ALPHA:
            raise DecisionRuleError(
                f"A false-positive rate of {self.alpha} is not accepted.",
                hint=f"Choose alpha above 0 and at most {MOST_ALPHA}.",
            )
        if self.smallest_p > self.alpha:
            raise _out_of_reach(self)

    @property
    def slots(self) -> int:
        """How many keys each probe is asked under."""
        return self.subkeys + self.decoys

    @property
    def smallest_p(self) -> float:
        """The smallest p-value that a run can show."""
        if self.method == KEYED_LABELS:
            return keyed_label_test.smallest_p(self.classes, self.probes, self.subkeys)
        return random_key_test.smallest_p(self.decoys)


def usual_alpha(smallest_p: float) -> float:
    """The strictest of the usual false-positive rates that such a p-value can reach, at most 0.05.

    Where none can be reached it is 0.05, which a rule then refuses with the reason.
    """
    return next((alpha for alpha in _USUAL_ALPHAS if smallest_p <= alpha), MOST_ALPHA)


@dataclass(frozen=True)
class Disclosure:
    """What a transcript tells once the answers are in, so that anyone can redo the test.

    `seed` is the run's, 32 bytes: probes, decoys and the true key's slot follow from it. `labels`
    are the label permutations of the true sub-keys that were asked; empty where labels are plain.
    """

    seed: bytes
    labels: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True)
class Outcome:
    """The test's result.

    `hits` and `true_slot` belong to the random-key test: the statistics of all slots, and the true
    key's among them. `null` belongs to keyed labels: the exact distribution of the statistic (see
    KeyedLabelResult).
    """

    statistic: int
    p_value: float
    answered_probes: int
    hits: tuple[int, ...] | None = None
    true_slot: int | None = None
    null: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Decision:
    """A verdict with the outcome it rests on."""

    verdict: str
    reason: str
    outcome: Outcome


def evaluate(rule: DecisionRule, told: Disclosure, exchanges: Sequence[Exchange]) -> Outcome:
    """The rule's test on the recorded answers. Raises KeyedLabelError."""
    labels, answers = complete_answers(exchanges, rule.slots)
    if rule.method == KEYED_LABELS:
        exact = keyed_label_test.keyed_label_test(labels, answers, told.labels)
        return Outcome(exact.statistic, exact.p_value, len(labels), null=exact.null)
    slot = true_slot(told.seed, rule.decoys)
    by_slot = _labels_by_slot(rule, told, slot)
    hits = tuple(_hits(labels, given, own) for given, own in zip(answers, by_slot, strict=True))
    ranked = random_key_test.random_key_test(hits, slot)
    return Outcome(ranked.statistic, ranked.p_value, len(labels), hits=hits, true_slot=slot)


def decide(rule: DecisionRule, told: Disclosure, exchanges: Sequence[Exchange]) -> Decision:
    """Apply the rule to the recorded answers."""
    outcome = evaluate(rule, told, exchanges)
    classes_seen = set(chain.from_iterable(exchange.labels for exchange in exchanges))
    if outcome.answered_probes < rule.minimum_probes:
        verdict = INCONCLUSIVE
        reason = (
            f"Only {outcome.answered_probes} of {rule.probes} probes were answered under every "
            f"key; the rule asks for {rule.minimum_probes}."
        )
    elif len(classes_seen) < 2:
        verdict = INCONCLUSIVE
        reason = "The suspect gave the same answer to every query."
    else:
        verdict = MATCH if outcome.p_value <= rule.alpha else NO_MATCH
        reason = _reason(rule, outcome, matched=verdict == MATCH)
    return Decision(verdict, reason, outcome)


def _labels_by_slot(
    rule: DecisionRule, told: Disclosure, slot: int
) -> Sequence[Sequence[int] | None]:
    """The label permutation of each slot's key; None where labels are plain."""
    if not told.labels:
        return [None] * rule.slots
    true = told.labels[0]
    by_slot: list[Sequence[int]] = [
        decoy_labels(told.seed, number, len(true)) for number in range(rule.decoys)
    ]
    by_slot.insert(slot, true)
    return by_slot


def _hits(labels: Sequence[int], answers: Sequence[int], permutation: Sequence[int] | None) -> int:
    """A slot's statistic in the random-key test: answers that its key explains.

    A suspect may still give the key's own labels, or have had its labels put back, so the better
    count of the two is taken. The test stays exact, because that is the same function of a key and
    of the answers under it for every slot: if the suspect never depended on the key, all slots'
    statistics are exchangeable, the true one's included.
    """
    plain: int = sum(starmap(eq, zip(answers, labels, strict=True)))
    if permutation is None:
        return plain
    encoded = map(permutation.__getitem__, labels)
    keyed: int = sum(starmap(eq, zip(answers, encoded, strict=True)))
    return max(plain, keyed)


def _reason(rule: DecisionRule, outcome: Outcome, *, matched: bool) -> str:
    if rule.method == KEYED_LABELS:
        asked = outcome.answered_probes * rule.subkeys
        return (
            f"{outcome.statistic} of {asked} answers are those that the key's labels stand for: so "
            f"many come about by chance with p = {outcome.p_value:.2g}, "
            f"{'not above' if matched else 'above'} alpha = {rule.alpha:g}."
        )
    above = round(outcome.p_value * (rule.decoys + 1)) - 1
    if matched:
        return f"The true key does better than {rule.decoys - above} of {rule.decoys} decoy keys."
    return f"{above} of {rule.decoys} decoy keys do as well as the true key."


def _out_of_reach(rule: DecisionRule) -> DecisionRuleError:
    least = f"p = {rule.smallest_p:.2g} at the least, which is above alpha = {rule.alpha:g}."
    if rule.method == RANDOM_KEY_TEST:
        return DecisionRuleError(
            f"{rule.decoys} decoys can show {least}",
            hint="Ask for more decoys or for a larger alpha.",
        )
    needed = keyed_label_test.subkeys_needed(rule.alpha, rule.classes, rule.probes)
    keys = "1 sub-key" if rule.subkeys == 1 else f"{rule.subkeys} sub-keys"
    hint = f"Use the random-key test or a larger alpha (at most {MOST_ALPHA})"
    if needed <= MOST_SUBKEYS:
        hint += f", or lock with {needed} sub-keys, which can show it"
    return DecisionRuleError(
        f"Keyed labels of {rule.classes} classes under {keys} can show {least}", hint=f"{hint}."
    )
