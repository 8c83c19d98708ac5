"""How far a share that was counted may be off: exact bounds of Clopper and Pearson (1934).

The standard library alone: outsiders redo it.
"""

import math
from collections.abc import Callable

_STEPS = 60


def at_most(hits: int, trials: int, *, confidence: float = 0.95) -> float:
    """The largest share that `hits` of `trials` leave open, with this confidence, in [0, 1].

    One-sided: 0 of 30 gives 0.095 at 95 %. Without trials it is 1.
    """
    _check(hits, trials, confidence)
    if hits == trials:
        return 1.0
    # The share p at which so few hits or fewer come about with the probability left over.
    return _crossing(lambda p: _cdf(hits, trials, p), 1 - confidence)


def at_least(hits: int, trials: int, *, confidence: float = 0.95) -> float:
    """The smallest share that `hits` of `trials` leave open, with this confidence, in [0, 1]."""
    return 1 - at_most(trials - hits, trials, confidence=confidence)


def interval(hits: int, trials: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """The two-sided interval: each end leaves half of what the confidence does not cover."""
    one_sided = (1 + confidence) / 2
    return (
        at_least(hits, trials, confidence=one_sided),
        at_most(hits, trials, confidence=one_sided),
    )


def _check(hits: int, trials: int, confidence: float) -> None:
    if not (0 <= hits <= trials and 0 < confidence < 1):
        raise ValueError(f"{hits} of {trials} at a confidence of {confidence} is no proportion")


def _cdf(hits: int, trials: int, p: float) -> float:
    """P(Binomial(trials, p) <= hits), for p inside (0, 1)."""
    log_p, log_q = math.log(p), math.log1p(-p)
    whole = math.lgamma(trials + 1)
    return math.fsum(
        math.exp(
            whole
            - math.lgamma(k + 1)
            - math.lgamma(trials - k + 1)
            + k * log_p
            + (trials - k) * log_q
        )
        for k in range(hits + 1)
    )


def _crossing(falling: Callable[[float], float], level: float) -> float:
    """Where a function that falls from 1 to 0 on (0, 1) reaches the level."""
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if falling(middle) > level else (low, middle)
    return (low + high) / 2
