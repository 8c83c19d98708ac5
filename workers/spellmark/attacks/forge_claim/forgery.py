"""What came of a forgery."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

ACCEPTED = "accepted"


@dataclass(frozen=True)
class Forgery:
    """One kind of false claim, tried so many times.

    name: one of FORGERIES. variant: what tells it from others of its kind. tried: how many claims
    were made. accepted: how many of them were believed. stopped_by: what stopped the others, in
    words, with how many each. naive: how many a protocol would believe that takes what the accuser
    hands in and counts hits; None where that has no meaning. details: ready for JSON.
    """

    name: str
    variant: str
    tried: int
    accepted: int
    stopped_by: Mapping[str, int]
    naive: int | None = None
    details: dict[str, Any] = field(default_factory=dict)


def forgery(
    name: str,
    outcomes: Iterable[str],
    *,
    variant: str = "",
    naive: int | None = None,
    **details: Any,
) -> Forgery:
    """Count outcomes, each ACCEPTED or the words for what stopped the claim."""
    counted = Counter(outcomes)
    tried, accepted = counted.total(), counted.pop(ACCEPTED, 0)
    return Forgery(name, variant, tried, accepted, dict(counted), naive, details)
