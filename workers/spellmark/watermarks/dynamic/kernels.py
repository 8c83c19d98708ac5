"""The loops over an answer's classes, compiled: a guard costs microseconds, not NumPy calls.

numba is imported on first use: whoever only reads parameters does not pay for a compiler.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

Answers = npt.NDArray[np.float64]

# Twice this much mass would let another class catch up.
_SAFE_SHARE = 0.5


@cache
def compiled() -> tuple[Callable[..., Any], Callable[..., Any]]:
    """`tops(answers, tolerance, out)` and `mark(answers, signs, tops, strength, out)`.

    tops: writes the best class of each row, the first one of a tie, int64 (n,); returns whether all
    rows are probabilities: none negative, sums within `tolerance` of one.
    mark: writes answers (n, K) marked by signs, int8 (n, K), with at most `strength` of their mass;
    unmarked where rounding would change the best class.
    """
    import numba

    kinds = numba.float64[:, ::1], numba.int8[:, ::1], numba.int64[::1]
    answers, signs, best = kinds
    jit = numba.njit(nogil=True)
    tops, mark = jit(_tops), jit(_mark)
    # Compiled now, so that the first answer does not wait for it.
    tops.compile((answers, numba.float64, best))
    mark.compile((answers, signs, best, numba.float64, answers))
    return tops, mark


def _tops(answers: Answers, tolerance: float, out: npt.NDArray[np.int64]) -> bool:
    sound = True
    for n in range(answers.shape[0]):
        total, best = 0.0, 0
        for j in range(answers.shape[1]):
            value = answers[n, j]
            # A NaN fails every comparison.
            if not value >= 0:
                sound = False
            total += value
            if value > answers[n, best]:
                best = j
        if not abs(total - 1) <= tolerance:
            sound = False
        out[n] = best
    return sound


def _mark(
    answers: Answers,
    signs: npt.NDArray[np.int8],
    tops: npt.NDArray[np.int64],
    strength: float,
    out: Answers,
) -> None:
    classes = answers.shape[1]
    for n in range(answers.shape[0]):
        top = tops[n]
        peak = answers[n, top]
        plus, nearest = 0, peak
        for j in range(classes):
            if signs[n, j] > 0:
                plus += 1
                nearest = min(nearest, peak - answers[n, j])
        mass, share = 0.0, 0.0
        if plus:
            share = 1.0 / plus
            # The nearest class catches up with the best one at a mass of gap / (gap + share).
            mass = min(strength, _SAFE_SHARE * nearest / (nearest + share))
        best = 0
        for j in range(classes):
            value = (1 - mass) * answers[n, j]
            if signs[n, j] > 0:
                value += mass * share
            out[n, j] = value
            if value > out[n, best]:
                best = j
        # Classes that differ in their last bit may be rounded to a tie, which the first one wins.
        if best != top:
            for j in range(classes):
                out[n, j] = answers[n, j]
