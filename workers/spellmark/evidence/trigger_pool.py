"""The null pool of a trigger run: innocent models that are asked what the suspect was asked.

Derived triggers make a false claim improbable by themselves. The pool is the second line: should
triggers ever fit innocent models, for whatever reason, then what convinces about the suspect also
convinces about some model that is known to be innocent, and the claim is void (demand 5 against
False Claims, arXiv 2304.06607). A pool that is too small to show that accuses nobody. The standard
library alone: outsiders redo it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from spellmark.evidence.binomial_test import binomial_tail
from spellmark.evidence.null_pool import TRAINED, Reference, count_kinds, digest
from spellmark.evidence.trigger_rule import (
    TriggerDecision,
    TriggerRule,
    decided,
)
from spellmark.evidence.verdicts import INCONCLUSIVE, MATCH

TOO_SMALL = "The pool is too small for a match, which asks for"


@dataclass(frozen=True)
class AskedReference:
    """An innocent model and what it says to the triggers of a run.

    answers: the classes that it gives to the triggers that the suspect was asked about, in the same
    order. hits: how many of all triggers that the run might have opened it gives their label, in
    0..rule.probes; those behind the run's end stay unopened, so of them only this count is told.
    """

    reference: Reference
    answers: tuple[int, ...]
    hits: int

    def known(self, labels: Sequence[int]) -> int:
        """To how many of the triggers that the suspect was asked about it gives their label.

        labels: of these, in order. Raises ValueError for another number of them.
        """
        return sum(label == answer for label, answer in zip(labels, self.answers, strict=True))

    def passes(self, rule: TriggerRule, labels: Sequence[int]) -> bool:
        """Whether the rule would call this innocent model a match.

        It would if the very answers that were taken from the suspect convinced it, or those to all
        triggers of the run. labels: of the triggers asked about. Raises ValueError where the counts
        contradict each other.
        """
        pairs, known = list(zip(labels, self.answers, strict=True)), self.known(labels)
        if not known <= self.hits <= known + rule.probes - len(pairs):
            raise ValueError("a reference has more or fewer hits than it can have")
        tail = binomial_tail(self.hits, rule.probes, rule.classes)
        return decided(rule, pairs).verdict == MATCH or rule.p_value_of(tail) <= rule.alpha

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "sha256": self.reference.sha256,
            "kind": self.reference.kind,
            "source": self.reference.source,
            "answers": list(self.answers),
            "hits": self.hits,
        }

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> Self:
        """What `as_dict` gave. Raises KeyError, TypeError, ValueError."""
        reference = Reference(row["kind"], row["sha256"], row["source"])
        return cls(reference, tuple(int(answer) for answer in row["answers"]), int(row["hits"]))


@dataclass(frozen=True)
class PoolControl:
    """What asking the pool came to. models: how many were asked, and of each kind. least: how many
    the rule asks for. passed: the innocent ones that the rule would accuse.
    """

    sha256: str
    models: int
    kinds: Mapping[str, int]
    least: int
    passed: tuple[Reference, ...] = ()

    @property
    def enough(self) -> bool:
        """Whether a match may rest on it: it has models enough, and some of each kind."""
        return self.models >= self.least and all(self.kinds.values())

    @property
    def void(self) -> bool:
        """Whether an innocent model would be accused: then nobody may be."""
        return bool(self.passed)

    def as_dict(self) -> dict[str, Any]:
        """As a certificate tells it."""
        return {
            "sha256": self.sha256,
            "models": self.models,
            "kinds": dict(self.kinds),
            "least": self.least,
            "passed": len(self.passed),
            "void": self.void,
        }


def control(
    rule: TriggerRule, pool: Sequence[AskedReference], labels: Sequence[int]
) -> PoolControl:
    """Put the rule to every model of the pool. labels: of the triggers asked about, in order.

    Raises ValueError for another pool than the one that was registered with the rule, and for one
    with a model that stands in it twice or that the platform did not train.
    """
    references = [one.reference for one in pool]
    if pool_digest(references) != rule.pool_sha256 or len(references) != rule.models:
        raise ValueError("the pool is not the one that was registered")
    if len({one.sha256 for one in references if one.source == TRAINED}) < len(references):
        raise ValueError("a model stands in the pool twice, or was not trained by the platform")
    return PoolControl(
        rule.pool_sha256,
        rule.models,
        count_kinds(references),
        rule.least_models,
        tuple(one.reference for one in pool if one.passes(rule, labels)),
    )


def pool_digest(pool: Iterable[Reference]) -> str:
    """What stands for the pool in a rule; empty where there is no pool."""
    references = list(pool)
    return digest(references) if references else ""


def controlled(decision: TriggerDecision, found: PoolControl) -> TriggerDecision:
    """The verdict that is left of one once the pool was asked."""
    if found.void:
        reason = (
            f"Void: by the same triggers {len(found.passed)} of {found.models} innocent reference "
            "models would be accused too, so they may accuse nobody."
        )
        return replace(decision, verdict=INCONCLUSIVE, reason=reason)
    asked = (
        f"None of {found.models} innocent reference models passes."
        if found.models
        else "No innocent reference model was asked, for the null pool has none for this task."
    )
    if decision.verdict == MATCH and not found.enough:
        reason = (
            f"{decision.reason} {asked} {TOO_SMALL} {found.least} that the platform trained, with "
            "some of each kind. Grow the pool, then start another run."
        )
        return replace(decision, verdict=INCONCLUSIVE, reason=reason)
    return replace(decision, reason=f"{decision.reason} {asked}")
