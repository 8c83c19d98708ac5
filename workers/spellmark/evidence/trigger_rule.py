"""The decision rule of a run against a trigger watermark: fixed before the first question.

The false-positive rate holds for everything that is ever claimed under an owner's trigger keys
together. It is shared out over the owner's keys, over the runs under each, and over the looks of a
run: the exact binomial test is done after 8, 16, 32, … answers and after the last. Any look may end
the run, so that the triggers behind it stay unopened. The standard library alone: outsiders redo
it.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from spellmark.errors import SpellmarkError
from spellmark.evidence.binomial_test import SMALLEST_STATED, binomial_null, binomial_tail
from spellmark.evidence.null_pool import LEAST_MODELS
from spellmark.evidence.verdicts import INCONCLUSIVE, MATCH, NO_MATCH

TRIGGER = "trigger-watermark"

MOST_ALPHA = 0.05
FIRST_LOOK = 8


class TriggerRuleError(SpellmarkError):
    """A rule under which no run could ever end in a match."""


@dataclass(frozen=True, kw_only=True)
class TriggerRule:
    """When a run against a trigger watermark is a match.

    alpha: the registered false-positive rate. probes: triggers that may be opened, which is the
    query cap. minimum_probes: how many must have been answered. classes: the model's.
    registration: which of the owner's trigger keys this is, from 1, in the order in which they were
    committed to. run: which run under this key, from 1. The n-th of either gets the share
    1 / (n (n + 1)) of the false-positive rate, and these shares sum to one however many there are.
    triggers: how many the key has in all. used: those that earlier runs opened, in order.
    models, pool_sha256: of the null pool whose models are asked the same (see `trigger_pool`); 0
    and empty where there is none. least_models: without so many, and some of each kind, nothing is
    a match.

    Raises TriggerRuleError.
    """

    method: str = TRIGGER
    alpha: float = 1e-6
    probes: int = 64
    minimum_probes: int = 8
    classes: int
    registration: int = 1
    run: int = 1
    triggers: int = 256
    used: Sequence[int] = ()
    models: int = 0
    pool_sha256: str = ""
    least_models: int = LEAST_MODELS

    def __post_init__(self) -> None:
        if self.method != TRIGGER:
            raise TriggerRuleError(
                f"The method is {TRIGGER}.", hint="Choose the watermark's own method."
            )
        if not 0 < self.alpha <= MOST_ALPHA:
            raise TriggerRuleError(
                f"A false-positive rate of {self.alpha} is not accepted.",
                hint=f"Choose alpha above 0 and at most {MOST_ALPHA}.",
            )
        if not 0 < self.minimum_probes <= self.probes:
            raise TriggerRuleError(
                f"{self.minimum_probes} of {self.probes} answers cannot be required.",
                hint="Require at least one answer and at most all of them.",
            )
        if self.classes < 2 or self.registration < 1 or self.run < 1:
            raise TriggerRuleError(
                "Classes count from 2, keys and runs from 1.", hint="Count them anew."
            )
        if self.models < 0 or bool(self.models) != bool(self.pool_sha256):
            raise TriggerRuleError(
                "A null pool has models and a digest, or neither.", hint="Fix the pool anew."
            )
        if self.least_models < LEAST_MODELS:
            raise TriggerRuleError(
                f"A match asks for {LEAST_MODELS} innocent models that are asked the same, not for "
                f"{self.least_models}.",
                hint="Ask for as many or more.",
            )
        if self.probes + len(self.used) > self.triggers:
            raise TriggerRuleError(
                f"{self.triggers - len(self.used)} of {self.triggers} triggers are still unopened; "
                f"the run asks for up to {self.probes}.",
                hint="Ask for fewer, or embed a watermark with a new key.",
            )
        if self.smallest_p > self.alpha:
            raise TriggerRuleError(
                f"{self.probes} triggers of {self.classes} classes can show p = "
                f"{self.smallest_p:.2g} at the least, which is above alpha = {self.alpha:g}.",
                hint="Ask for more triggers.",
            )

    @property
    def query_cap(self) -> int:
        """The most requests that may be sent: one a trigger."""
        return self.probes

    @property
    def looks(self) -> tuple[int, ...]:
        """After how many answers the exact test is done: 8, 16, 32, … and the last."""
        found, look = [], FIRST_LOOK
        while look < self.probes:
            found.append(look)
            look *= 2
        return (*found, self.probes)

    @property
    def tries(self) -> int:
        """By what every p-value is multiplied: the looks, over the share of this key and run."""
        keys, runs = (n * (n + 1) for n in (self.registration, self.run))
        return len(self.looks) * keys * runs

    @property
    def line(self) -> float:
        """What evidence has to reach, as a decimal logarithm."""
        return math.log10(self.tries / self.alpha)

    @property
    def smallest_p(self) -> float:
        """The smallest p-value that a run can show."""
        return self.p_value_of(Fraction(1, self.classes**self.probes))

    def p_value_of(self, tail: Fraction) -> float:
        """The p-value of a look's binomial tail, all tries counted: in [1e-300, 1]."""
        return float(min(Fraction(1), max(self.tries * tail, Fraction(SMALLEST_STATED))))


@dataclass(frozen=True)
class TriggerOutcome:
    """What the answers say.

    statistic: hits, answers that are the trigger's label, among `answered`. p_value: all tries
    counted. growth: after each answer the decimal logarithm of one over the smallest binomial tail
    at a look so far, to be held against the rule's line. null: the chance of exactly 0, 1, 2, …
    hits among so many answers, for a suspect that never depended on the key.
    """

    statistic: int
    p_value: float
    answered: int
    classes_seen: int
    growth: tuple[float, ...]
    null: tuple[float, ...]


@dataclass(frozen=True)
class TriggerDecision:
    """A verdict with the outcome it rests on."""

    verdict: str
    reason: str
    outcome: TriggerOutcome

    @property
    def p_value(self) -> float:
        """The outcome's."""
        return self.outcome.p_value

    @property
    def queries(self) -> int:
        """How many triggers were opened."""
        return self.outcome.answered

    @property
    def access(self) -> str:
        """What of the answers is read."""
        return "labels"

    @property
    def client(self) -> None:
        """Every copy of the model carries the same mark."""
        return None


@dataclass
class TriggerRun:
    """The rule at work: takes answers one by one, and says when enough is known."""

    rule: TriggerRule
    _hits: int = 0
    _tail: Fraction = field(default=Fraction(1))
    _growth: list[float] = field(default_factory=list)
    _seen: set[int] = field(default_factory=set)

    @property
    def decided(self) -> bool:
        """Whether the evidence has crossed its line, so that no more triggers need be opened."""
        return self.rule.p_value_of(self._tail) <= self.rule.alpha

    def add(self, label: int, answer: int) -> None:
        """Take the answer to one more trigger with this label."""
        self._hits += answer == label
        self._seen.add(answer)
        if len(self._growth) + 1 in self.rule.looks:
            self._look(len(self._growth) + 1)
        self._growth.append(round(_evidence(self._tail), 4))

    def decide(self) -> TriggerDecision:
        """The verdict, once the run was decided or every trigger was asked about."""
        answered = len(self._growth)
        if answered and not self.decided and answered not in self.rule.looks:
            # Some were not answered: what there is takes the place of the last look.
            self._look(answered)
            self._growth[-1] = round(_evidence(self._tail), 4)
        outcome = TriggerOutcome(
            statistic=self._hits,
            p_value=self.rule.p_value_of(self._tail),
            answered=answered,
            classes_seen=len(self._seen),
            growth=tuple(self._growth),
            null=binomial_null(answered, self.rule.classes),
        )
        return TriggerDecision(*_verdict(self.rule, outcome), outcome)

    def _look(self, answered: int) -> None:
        self._tail = min(self._tail, binomial_tail(self._hits, answered, self.rule.classes))


def decided(rule: TriggerRule, pairs: Iterable[tuple[int, int]]) -> TriggerDecision:
    """The verdict on (label, answer) pairs, in the order in which they were asked for."""
    run = TriggerRun(rule)
    for label, answer in pairs:
        run.add(label, answer)
        if run.decided:
            break
    return run.decide()


def _evidence(tail: Fraction) -> float:
    # Of whole numbers: a float of a tail may be zero.
    return max(0.0, math.log10(tail.denominator) - math.log10(tail.numerator))


def _verdict(rule: TriggerRule, outcome: TriggerOutcome) -> tuple[str, str]:
    if outcome.answered < rule.minimum_probes:
        return INCONCLUSIVE, (
            f"Only {outcome.answered} of {rule.probes} triggers were answered; the rule asks for "
            f"{rule.minimum_probes}."
        )
    if outcome.classes_seen < 2:
        return INCONCLUSIVE, "The suspect gave the same class to every trigger."
    hits = (
        f"{outcome.statistic} of {outcome.answered} answers are the label that was drawn for the "
        f"trigger, where chance gives {outcome.answered / rule.classes:.1f}: p = "
        f"{outcome.p_value:.2g}"
    )
    if outcome.p_value <= rule.alpha:
        return MATCH, f"{hits}, not above alpha = {rule.alpha:g}."
    return NO_MATCH, f"{hits}, above alpha = {rule.alpha:g}."
