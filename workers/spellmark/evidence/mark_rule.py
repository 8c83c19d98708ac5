"""The decision rule of a run against a guard's mark: fixed before the first question.

The false-positive rate is shared out over looks at the same answers: an e-process that is looked at
after every one of them, and the exact sign test after 16, 32, 64, … and all. Any of them may end
the run. The standard library alone: outsiders redo it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from spellmark.errors import SpellmarkError
from spellmark.evidence.bit_process import BitProcess
from spellmark.evidence.mark_evidence import MarkEvidence, Place, Question, in_units
from spellmark.evidence.sign_test import SMALLEST_STATED, SignTestResult, sign_test, smallest_p
from spellmark.evidence.verdicts import INCONCLUSIVE, MATCH, NO_MATCH

DYNAMIC = "dynamic-watermark"

MOST_ALPHA = 0.05
FIRST_LOOK = 16
# A sign is read when its place leans so far, or was told of so often: it can be read only once.
FAR, OFTEN = 0.5, 4

Answer = Sequence[float]


class MarkRuleError(SpellmarkError):
    """A rule under which no run could ever end in a match."""


class Signs(Protocol):
    """A key's sign at a place, +1 or -1."""

    def __call__(self, place: Place) -> int:
        """The sign."""
        ...


@dataclass(frozen=True, kw_only=True)
class MarkRule:
    """When a run against a guard's mark is a match.

    alpha: the registered false-positive rate. probes: inputs that may be asked about, which is the
    query cap. minimum_probes: how many must have been answered. classes, cells, strength,
    label_margin: the guard's. clients: how many keys are tried, one for each client or just one.

    Raises MarkRuleError.
    """

    method: str = DYNAMIC
    alpha: float = 1e-6
    probes: int = 256
    minimum_probes: int = 1
    classes: int
    cells: int = 1
    strength: int
    label_margin: int = 0
    clients: int = 1

    def __post_init__(self) -> None:
        if self.method != DYNAMIC:
            raise MarkRuleError(f"The method is {DYNAMIC}.", hint="Choose the guard's own method.")
        if not 0 < self.alpha <= MOST_ALPHA:
            raise MarkRuleError(
                f"A false-positive rate of {self.alpha} is not accepted.",
                hint=f"Choose alpha above 0 and at most {MOST_ALPHA}.",
            )
        if not 0 < self.minimum_probes <= self.probes:
            raise MarkRuleError(
                f"{self.minimum_probes} of {self.probes} answers cannot be required.",
                hint="Require at least one answer and at most all of them.",
            )
        if self.clients < 1:
            raise MarkRuleError("There is no key to try.", hint="Try the guard's key.")
        if self.smallest_p > self.alpha:
            raise MarkRuleError(
                f"A key of so few places can show p = {self.smallest_p:.2g} at the least, which is "
                f"above alpha = {self.alpha:g}.",
                hint="Choose a larger alpha, more questions, or a guard with more cells.",
            )

    @property
    def query_cap(self) -> int:
        """The most requests that may be sent: one an input."""
        return self.probes

    @property
    def looks(self) -> tuple[int, ...]:
        """After how many answers the exact test is done: 16, 32, 64, … and the last."""
        found, look = [], FIRST_LOOK
        while look < self.probes:
            found.append(look)
            look *= 2
        return (*found, self.probes)

    @property
    def tries(self) -> int:
        """By what every p-value is multiplied: the looks and the e-process, for each key."""
        return (len(self.looks) + 1) * self.clients

    @property
    def line(self) -> float:
        """What evidence has to reach, as a decimal logarithm."""
        return math.log10(self.tries / self.alpha)

    def p_value_of(self, evidence: float) -> float:
        """The p-value of so much evidence, all looks and keys counted: in [1e-300, 1]."""
        p: float = 10.0 ** -min(evidence, 299.0)
        return max(min(1.0, self.tries * p), SMALLEST_STATED)

    @property
    def smallest_p(self) -> float:
        """The smallest p-value that a run can show."""
        tails = self.cells * self.classes * (self.classes - 1)
        pairs = tails // 2 if self.label_margin else 0
        # One answer tells of one row of the key.
        told = min(tails + pairs, self.probes * (self.classes - 1))
        return min(1.0, self.tries * smallest_p(told))


@dataclass(frozen=True)
class MarkOutcome:
    """What the answers say.

    client: whose key fits best, "" for the one that all callers share. statistic: the sum of
    evidence × sign under that key, in units of 1/64. p_value: for all keys and looks together, in
    (0, 1]. answered: how many answers were looked at. growth: the evidence after each answer, as
    the decimal logarithm of one over the smallest p-value so far, to be held against the rule's
    line.
    """

    client: str
    statistic: int
    p_value: float
    answered: int
    access: str
    has_tails: bool
    classes_seen: int
    growth: tuple[float, ...] = ()


@dataclass(frozen=True)
class MarkDecision:
    """A verdict with the outcome it rests on."""

    verdict: str
    reason: str
    outcome: MarkOutcome

    @property
    def p_value(self) -> float:
        """The outcome's."""
        return self.outcome.p_value

    @property
    def queries(self) -> int:
        """How many answers the decision took."""
        return self.outcome.answered

    @property
    def access(self) -> str:
        """What the suspect shows, in words."""
        return self.outcome.access

    @property
    def client(self) -> str:
        """Whose key fits best."""
        return self.outcome.client


@dataclass
class MarkRun:
    """The rule at work: takes answers one by one, and says when enough is known.

    keys: the signs of each client's key. Once it is known which one fits best, that one alone gives
    the same p-value, for the rule counts them all.
    """

    rule: MarkRule
    keys: Mapping[str, Signs]
    _growth: list[float] = field(default_factory=list)
    _seen: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        if not 0 < len(self.keys) <= self.rule.clients:
            raise MarkRuleError(
                f"The rule is for {self.rule.clients} keys, not for {len(self.keys)}.",
                hint="Try the keys that the rule was made for.",
            )
        rule = self.rule
        self._evidence = MarkEvidence(rule.classes, rule.strength, rule.label_margin)
        self._processes = {client: BitProcess() for client in self.keys}
        self._exact = dict.fromkeys(self.keys, 1.0)
        self._read: set[Place] = set()

    @property
    def decided(self) -> bool:
        """Whether the evidence has crossed its line, so that no more questions are needed."""
        return bool(self._growth) and self._growth[-1] >= self.rule.line

    @property
    def growth(self) -> tuple[float, ...]:
        """The evidence after each answer so far, as MarkOutcome tells it."""
        return tuple(round(value, 4) for value in self._growth)

    def add(self, question: Question, answer: Answer) -> None:
        """Take one more answer: non-negative numbers, of a sum of at most one."""
        best = self._evidence.add(question, answer)
        self._seen.add(max(range(len(answer)), key=answer.__getitem__))
        for place, lean in self._evidence.leans(best).items():
            self._bet(place, lean)
        if len(self._growth) + 1 in self.rule.looks:
            self._look()
        self._growth.append(max(self.evidence_for(client) for client in self.keys))

    def decide(self) -> MarkDecision:
        """The verdict, once the run was decided or every question was asked."""
        if not self.decided and len(self._growth) not in self.rule.looks:
            # Some were not answered: what there is takes the place of the last look.
            self._look()
            if self._growth:
                self._growth[-1] = max(self.evidence_for(client) for client in self.keys)
        outcome = self._outcome()
        verdict, reason = _verdict(self.rule, outcome)
        return MarkDecision(verdict, reason, outcome)

    def _bet(self, place: Place, lean: float) -> None:
        if place in self._read or (abs(lean) < FAR and self._evidence.count(place) < OFTEN):
            return
        self._read.add(place)
        for client, signs in self.keys.items():
            self._processes[client].bet(lean, signs(place))

    def _look(self) -> None:
        for client in self.keys:
            self._exact[client] = min(self._exact[client], self._tested(client).p_value)

    def units(self) -> dict[Place, int]:
        """The evidence so far at each place that was told of, as the sign test takes it."""
        return {place: in_units(lean) for place, lean in self._evidence.leans().items()}

    def _tested(self, client: str) -> SignTestResult:
        units, signs = self.units(), self.keys[client]
        return sign_test(list(units.values()), [signs(place) for place in units])

    def evidence_for(self, client: str) -> float:
        """One client's evidence so far, as the decimal logarithm of one over its p-value.

        Looks and keys are not counted yet: `p_value_of` does.
        """
        exact = -math.log10(self._exact[client])
        return max(self._processes[client].log_most / math.log(10), exact)

    def _outcome(self) -> MarkOutcome:
        client = max(self.keys, key=self.evidence_for)
        return MarkOutcome(
            client=client,
            statistic=self._tested(client).statistic,
            p_value=self.rule.p_value_of(self.evidence_for(client)),
            answered=len(self._growth),
            access=str(self._evidence.access),
            has_tails=self._evidence.access.has_tails,
            classes_seen=len(self._seen),
            growth=self.growth,
        )


def _verdict(rule: MarkRule, outcome: MarkOutcome) -> tuple[str, str]:
    if outcome.answered < rule.minimum_probes:
        return INCONCLUSIVE, (
            f"Only {outcome.answered} of {rule.probes} questions were answered; the rule asks for "
            f"{rule.minimum_probes}."
        )
    if outcome.classes_seen < 2:
        return INCONCLUSIVE, "The suspect gave the same class to every question."
    if outcome.p_value <= rule.alpha:
        whose = f" of the client “{outcome.client}”" if outcome.client else ""
        return MATCH, (
            f"The answers lean as the key{whose} says: so well by chance with p = "
            f"{outcome.p_value:.2g}, not above alpha = {rule.alpha:g}, after {outcome.answered} "
            f"questions. The suspect shows {outcome.access}."
        )
    if not outcome.has_tails:
        channel = (
            "the label channel shows in labels only after many questions, and did not."
            if rule.label_margin
            else "the guard changes no label, so a copy made from labels carries no mark."
        )
        return INCONCLUSIVE, f"The suspect shows {outcome.access}: {channel}"
    unseen = "" if rule.label_margin else " A copy made from labels alone would carry no mark."
    return NO_MATCH, (
        f"The answers lean as the key says no better than chance may: p = {outcome.p_value:.2g}, "
        f"above alpha = {rule.alpha:g}. The suspect shows {outcome.access}.{unseen}"
    )
