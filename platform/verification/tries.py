"""How often an owner could have tried for a result: what a certificate counts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from spellmark.evidence.trigger_rule import TRIGGER


@dataclass(frozen=True)
class Tries:
    """How often an owner could have tried for a result, by when it was signed.

    keys: that the organisation committed to. protections: made under this key. earlier: runs of
    the organisation before, under whichever key, of whichever version, by whichever method, against
    whichever suspect, and whatever came of them.
    """

    keys: int
    protections: int
    earlier: int

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> Self:
        """What a verdict's parameters tell; ones from before these were counted tell of keys."""
        return cls(
            parameters.get("ownerCommitments", 1),
            parameters.get("protectionsOfKey", 1),
            parameters.get("earlierRuns", 0),
        )

    @property
    def count(self) -> int:
        """By what a p-value has to be multiplied at most if the best of all was picked."""
        return self.keys * self.protections * (self.earlier + 1)

    def held(self, p_value: float) -> float:
        """The p-value, held to all tries."""
        return min(1.0, self.count * p_value)

    def __str__(self) -> str:
        parts = []
        if self.keys > 1:
            parts.append(f"{self.keys:,} keys committed to by then")
        if self.protections > 1:
            parts.append(f"{self.protections:,} protections under this key")
        if self.earlier:
            parts.append(
                f"{self.earlier:,} earlier run{'s' if self.earlier > 1 else ''} of this owner"
            )
        return ", ".join(parts) or "the first"


def tries_limit(
    method: str, parameters: Mapping[str, Any], p_value: float | None
) -> tuple[str, ...]:
    """What many tries leave of a p-value, in words; nothing where there was one, or p counts all.

    parameters: a verdict's.
    """
    tries = Tries.of(parameters)
    if method == TRIGGER or p_value is None or tries.count == 1:
        return ()
    return (
        f"With {tries.count:,} tries ({tries}), an innocent would get this far with a probability "
        f"of up to {tries.held(p_value):.2g}.",
    )
