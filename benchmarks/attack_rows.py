"""What attacks reached, for the eye and for the results."""

from collections.abc import Sequence
from typing import Any

from spellmark.attacks.attack import AttackResult


def attack_rows(name: str, found: Sequence[AttackResult]) -> list[dict[str, Any]]:
    """Print the results of the attacks on the lock of this name, and give them for JSON."""
    for one in found:
        print(
            f"{name}: {one.name:<24} {one.accuracy:.3f}  {one.labels_used:>5} labels  "
            f"{one.evaluations:>6} evaluations  {one.seconds:>6.1f} s",
            flush=True,
        )
    return [
        {
            "attack": one.name,
            "accuracy": round(one.accuracy, 4),
            "labels": one.labels_used,
            "evaluations": one.evaluations,
            "seconds": round(one.seconds, 1),
        }
        for one in found
    ]
