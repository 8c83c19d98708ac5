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

    answers, number = numba.float64[:, ::1], numba.float64
    signs, best = numba.int8[:, ::1], numba.int64[::1]
    return (
        _ready(_tops, answers, number, best),
        _ready(_mark, answers, signs, best, number, answers),
    )


@cache
def keep_largest() -> Callable[..., Any]:
    """`keep(answers, count, out)`: writes the `count` largest of each row, 1 to K, and zeros.

    Of equal ones the first are kept.
    """
    import numba

    answers = numba.float64[:, ::1]
    return _ready(_keep, answers, numba.int64, answers)


@cache
def two_best() -> Callable[..., Any]:
    """`pairs(answers, out)`: writes the best class and the second of each row, int64 (n, 2).

    Of equal ones the first comes first. There are two classes at least.
    """
    import numba

    return _ready(_pairs, numba.float64[:, ::1], numba.int64[:, ::1])


def _ready(function: Callable[..., Any], *kinds: Any) -> Callable[..., Any]:
    """Compiled now, so that the first answer does not wait for it."""
    import numba

    made: Callable[..., Any] = numba.njit(nogil=True)(function)
    made.compile(kinds)  # type: ignore[attr-defined]
    return made


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


def _keep(answers: Answers, count: int, out: Answers) -> None:
    classes = answers.shape[1]
    for n in range(answers.shape[0]):
        # Hoare's quickselect of the least one that is kept; NumPy's takes seconds to compile.
        for j in range(classes):
            out[n, j] = answers[n, j]
        low, high = 0, classes - 1
        while low < high:
            pivot = out[n, (low + high) // 2]
            i, j = low, high
            while i <= j:
                while out[n, i] > pivot:
                    i += 1
                while out[n, j] < pivot:
                    j -= 1
                if i <= j:
                    out[n, i], out[n, j] = out[n, j], out[n, i]
                    i += 1
                    j -= 1
            if count - 1 <= j:
                high = j
            elif count - 1 >= i:
                low = i
            else:
                break
        least = out[n, count - 1]
        # As many as are left for those that are equal to it.
        left = count
        for j in range(classes):
            if answers[n, j] > least:
                left -= 1
        for j in range(classes):
            value = answers[n, j]
            out[n, j] = 0.0
            if value > least:
                out[n, j] = value
            elif value == least and left > 0:
                out[n, j] = value
                left -= 1


def _pairs(answers: Answers, out: npt.NDArray[np.int64]) -> None:
    for n in range(answers.shape[0]):
        best, second = 0, -1
        for j in range(1, answers.shape[1]):
            value = answers[n, j]
            if value > answers[n, best]:
                best, second = j, best
            elif second < 0 or value > answers[n, second]:
                second = j
        out[n, 0], out[n, 1] = best, second
