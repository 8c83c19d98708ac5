"""How much a suspect's answers show: whole probabilities, a few, rounded ones, or labels alone.

It is read from the answers, never from a key, so that tests stay exact whatever is found. The
standard library alone: outsiders redo it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

Row = Sequence[float]

MOST_DECIMALS = 4
# What a number of so many decimals may be off by in single precision.
FLOAT_ROUNDING = 1e-7
# Within this, numbers are the same.
_SAME = 1e-9
_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Access:
    """What is left of the probabilities.

    shown: `all` of them, the `largest` few, the `best` one with nothing told apart below it, or
    only `labels`. largest: how many are shown, where that is it. decimals: after how many digits
    they are rounded, None where no rounding is seen.
    """

    shown: str
    largest: int | None = None
    decimals: int | None = None

    @property
    def has_tails(self) -> bool:
        """Whether anything can be read below the best class."""
        return self.shown in ("all", "largest")

    def __str__(self) -> str:
        if self.shown == "labels":
            return "labels"
        what = {
            "all": "probabilities",
            "largest": f"the {self.largest} largest probabilities",
            "best": "the best class with its probability",
        }[self.shown]
        if self.decimals is None:
            return what
        unit = "decimal" if self.decimals == 1 else "decimals"
        return f"{what}, rounded to {self.decimals} {unit}"


class AccessReader:
    """Looks at answers one by one; `access` says what all of them so far have in common."""

    def __init__(self, classes: int) -> None:
        self._classes = classes
        self._decimals = 0
        self._counts: set[int] = set()
        self._sums_to_one = True
        # Of two classes the second says nothing that the best one does not.
        self._flat = classes > 2
        self._labels = True
        self._seen = 0

    def add(self, row: Row) -> None:
        """Take one more answer: non-negative numbers whose sum is at most one."""
        self._seen += 1
        top = max(range(len(row)), key=row.__getitem__)
        tail = [value for place, value in enumerate(row) if place != top]
        self._labels &= not any(tail) and row[top] >= 1 - _SAME
        self._flat &= max(tail) - min(tail) <= _SAME
        self._counts.add(sum(value > 0 for value in row))
        self._sums_to_one &= abs(sum(row) - 1) <= _TOLERANCE
        while self._decimals <= MOST_DECIMALS and not _has_decimals(row, self._decimals):
            self._decimals += 1

    @property
    def access(self) -> Access:
        """What the answers so far show."""
        if not self._seen or self._labels:
            return Access("labels")
        decimals = self._decimals if self._decimals <= MOST_DECIMALS else None
        most = max(self._counts)
        # Rounding leaves now more, now fewer zeros; a list of the largest is always as long.
        few = len(self._counts) == 1 or not (self._sums_to_one or decimals is not None)
        if self._flat:
            return Access("best", None, decimals)
        if few and most < self._classes:
            return Access("largest", most, decimals)
        return Access("all", None, decimals)


def _has_decimals(row: Row, decimals: int) -> bool:
    scale = 10**decimals
    return all(abs(value * scale - round(value * scale)) <= scale * FLOAT_ROUNDING for value in row)
