"""The decision rule of a run against a guard's mark: fixed before the first question.

Two looks share the false-positive rate: an e-process that is looked at after every answer and may
end the run early, and the exact sign test on all answers once the last one is in. The standard
library alone: outsiders redo it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from spellmark.errors import SpellmarkError
from spellmark.evidence.bit_process import BitProcess
from spellmark.evidence.mark_evidence import MarkEvidence, Place, Question, in_units
from spellmark.evidence.sign_test import SMALLEST_STATED, sign_test, smallest_p

DYNAMIC = "dynamic-watermark"
MATCH, NO_MATCH, INCONCLUSIVE = "match", "no match", "inconclusive"

MOST_ALPHA = 0.05
LOOKS = 2
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
    def tries(self) -> int:
        """By what every p-value is multiplied: two looks at each key."""
        return LOOKS * self.clients

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
    (0, 1]. answered: how many answers were looked at. stopped: whether the e-process ended the run.
    growth: the decimal logarithm of the best key's fortune after each answer.
    """

    client: str
    statistic: int
    p_value: float
    answered: int
    stopped: bool
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

    keys: the signs of each client's key.
    """

    rule: MarkRule
    keys: Mapping[str, Signs]
    _growth: list[float] = field(default_factory=list)
    _seen: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        if len(self.keys) != self.rule.clients:
            raise MarkRuleError(
                f"The rule is for {self.rule.clients} keys, not for {len(self.keys)}.",
                hint="Try the keys that the rule was made for.",
            )
        rule = self.rule
        self._evidence = MarkEvidence(rule.classes, rule.strength, rule.label_margin)
        self._processes = {client: BitProcess() for client in self.keys}
        self._read: set[Place] = set()

    @property
    def decided(self) -> bool:
        """Whether the e-process has crossed its line."""
        most = max(process.log_most for process in self._processes.values())
        return most >= math.log(self.rule.tries / self.rule.alpha)

    def add(self, question: Question, answer: Answer) -> None:
        """Take one more answer: non-negative numbers, of a sum of at most one."""
        _, best = self._evidence.add(question, answer)
        self._seen.add(max(range(len(answer)), key=answer.__getitem__))
        for place, lean in self._evidence.leans(best).items():
            self._bet(place, lean)
        # A close pair stands under its lower class, which need not be the best one.
        if self.rule.label_margin:
            for place, lean in self._evidence.leans().items():
                if place.kind == "label":
                    self._bet(place, lean)
        self._growth.append(max(p.log_fortune for p in self._processes.values()) / math.log(10))

    def _bet(self, place: Place, lean: float) -> None:
        if place in self._read or (abs(lean) < FAR and self._evidence.count(place) < OFTEN):
            return
        self._read.add(place)
        for client, signs in self.keys.items():
            self._processes[client].bet(lean, signs(place))

    def outcome(self) -> MarkOutcome:
        """What the answers so far say. The exact test counts only where the run was not stopped."""
        leans = self._evidence.leans()
        units = [in_units(lean) for lean in leans.values()]
        found = []
        for client, signs in self.keys.items():
            exact = sign_test(units, [signs(place) for place in leans])
            p = math.exp(-min(self._processes[client].log_most, 690.0))
            if not self.decided:
                p = min(p, exact.p_value)
            found.append((p, -exact.statistic, client))
        p, negative, client = min(found)
        return MarkOutcome(
            client=client,
            statistic=-negative,
            p_value=max(min(1.0, self.rule.tries * p), SMALLEST_STATED),
            answered=len(self._growth),
            stopped=self.decided,
            access=str(self._evidence.access),
            has_tails=self._evidence.access.has_tails,
            classes_seen=len(self._seen),
            growth=tuple(round(value, 4) for value in self._growth),
        )

    def decide(self) -> MarkDecision:
        """The verdict, once the run was stopped or every question was asked."""
        outcome = self.outcome()
        verdict, reason = _verdict(self.rule, outcome)
        return MarkDecision(verdict, reason, outcome)


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
            "questions."
        )
    if not outcome.has_tails:
        channel = (
            "the label channel shows in labels only after many questions, and did not."
            if rule.label_margin
            else "the guard changes no label, so a copy made from labels carries no mark."
        )
        return INCONCLUSIVE, f"The suspect shows {outcome.access}: {channel}"
    return NO_MATCH, (
        f"The answers lean as the key says no better than chance may: p = {outcome.p_value:.2g}, "
        f"above alpha = {rule.alpha:g}."
    )
