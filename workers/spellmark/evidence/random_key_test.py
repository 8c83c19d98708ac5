"""The exact random-key test: the true key's statistic ranked among decoy keys.

If the suspect never depended on the key, the true key is exchangeable with decoys drawn like it,
whatever the suspect is and however its answers hang together: the randomness is the key's.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class RandomKeyResult:
    """`statistic` is the true key's value, `p_value` in [1/(decoys + 1), 1]."""

    statistic: int
    p_value: float
    decoys: int
    decoys_at_or_above: int


def smallest_p(others: int) -> float:
    """The smallest p-value that a rank among so many others can show: decoys, or references."""
    return 1 / (others + 1)


def others_needed(alpha: float) -> int:
    """How many others a rank needs at the least to show a p-value of alpha."""
    others = max(1, round(1 / alpha) - 1)
    return others if smallest_p(others) <= alpha else others + 1


def random_key_test(statistics: Sequence[int], true: int) -> RandomKeyResult:
    """Rank the statistic at index `true` among the others; ties count against the claim.

    p = (1 + #{decoys at or above}) / (decoys + 1): P(p <= a) <= a under the null for every a.
    """
    own = statistics[true]
    above = sum(value >= own for slot, value in enumerate(statistics) if slot != true)
    decoys = len(statistics) - 1
    return RandomKeyResult(own, (1 + above) / (decoys + 1), decoys, above)
