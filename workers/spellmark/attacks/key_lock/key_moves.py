"""The neighbours of a guessed key: what a hill climb tries."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from spellmark.attacks.key_lock.key_guess import KeyGuess
from spellmark.locks.key_lock.parameters import FLIP, SCRAMBLE, SHUFFLE, SUBSTITUTE

# Swaps of two table entries are many and change little: a sweep has a sample of them.
MOST_MOVES, MOST_ENTRY_SWAPS = 20_000, 2_000


@dataclass(frozen=True)
class Move:
    """Swap items a and b in a row of a field of the guess; where a is b, invert that item."""

    field: str
    row: int
    a: int
    b: int

    def __call__(self, guess: KeyGuess) -> KeyGuess:
        """The neighbour that the move leads to."""
        changed = getattr(guess, self.field).copy()
        row = changed if self.field == "blocks" else changed[self.row]
        if self.a == self.b:
            row[self.a] = not row[self.a]
        else:
            row[[self.a, self.b]] = row[[self.b, self.a]]
        changes: dict[str, Any] = {self.field: changed}
        return replace(guess, **changes)


def sweep(guess: KeyGuess, generator: np.random.Generator) -> Iterator[Move]:
    """Every neighbour once, or a sample where they are too many, in random order.

    Two blocks, two positions or two table entries swap; one value is flipped, or substituted, or
    no longer.
    """
    has, (rows, size) = guess.parameters.has, guess.order.shape
    moves: list[Move] = []
    if has(SCRAMBLE):
        moves += _swaps("blocks", 1, len(guess.blocks), MOST_MOVES, generator)
    if has(SHUFFLE):
        moves += _swaps("order", rows, size, MOST_MOVES, generator)
    for step, field in ((FLIP, "flipped"), (SUBSTITUTE, "substituted")):
        if has(step):
            chosen = _some(rows * size, MOST_MOVES, generator)
            moves += [Move(field, i // size, i % size, i % size) for i in chosen.tolist()]
    if has(SUBSTITUTE):
        moves += _swaps("tables", len(guess.tables), 256, MOST_ENTRY_SWAPS, generator)
    return (moves[i] for i in generator.permutation(len(moves)))


def _swaps(
    field: str, rows: int, size: int, most: int, generator: np.random.Generator
) -> list[Move]:
    # Of all ordered pairs, half are swaps: those in order.
    row, pair = np.divmod(_some(rows * size * size, 2 * most, generator), size * size)
    a, b = np.divmod(pair, size)
    kept = a < b
    return [
        Move(field, *map(int, items)) for items in zip(row[kept], a[kept], b[kept], strict=True)
    ]


def _some(total: int, most: int, generator: np.random.Generator) -> npt.NDArray[np.int64]:
    return generator.choice(total, min(total, most), replace=False)
