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


def smallest_p(decoys: int) -> float:
    """The smallest p-value that this many decoys can show."""
    return 1 / (decoys + 1)


def decoys_needed(alpha: float) -> int:
    """How many decoys a test at level alpha needs at the least."""
    decoys = max(1, round(1 / alpha) - 1)
    return decoys if smallest_p(decoys) <= alpha else decoys + 1


def random_key_test(statistics: Sequence[int], true: int) -> RandomKeyResult:
    """Rank the statistic at index `true` among the others; ties count against the claim.

    p = (1 + #{decoys at or above}) / (decoys + 1): P(p <= a) <= a under the null for every a.
    """
    own = statistics[true]
    above = sum(value >= own for slot, value in enumerate(statistics) if slot != true)
    decoys = len(statistics) - 1
    return RandomKeyResult(own, (1 + above) / (decoys + 1), decoys, above)
