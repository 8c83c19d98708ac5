"""How close a suspect's answers come to the owner's: the scores redone from a transcript.

`spellmark.fingerprints` computes the same with numpy, for many models at once. Here it is the
standard library alone: outsiders redo it.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import combinations, starmap

from spellmark.evidence.answer_access import Access

Row = Sequence[float]

COSINE, RBF = KERNELS = ("cosine", "rbf")

# A label alone stands for the softmax of one at its class and this elsewhere (SAC's own way).
LABEL_REST = 0.01


def agreement(owner: Sequence[int], suspect: Sequence[int]) -> float:
    """The share of probes on which both give the same class, in [0, 1]."""
    return sum(a == b for a, b in zip(owner, suspect, strict=True)) / len(owner)


def correlation(owner: Sequence[Row], suspect: Sequence[Row], kernel: str) -> float:
    """One minus the mean distance of the two matrices of sample correlations, in [0, 1].

    The rows are answers to the same n probes; the classes may differ. Source: SAC (2210.15427).
    """
    pairs = zip(_distances(owner), _distances(suspect), strict=True)
    # The matrices are symmetric, and equal on their diagonals.
    if kernel == RBF:
        total = math.fsum(abs(math.exp(-a * a) - math.exp(-b * b)) for a, b in pairs)
    else:
        # (1 - cos) / 2 of rows of length one is a quarter of their squared distance.
        total = math.fsum(abs(a * a - b * b) for a, b in pairs) / 4
    return 1 - 2 * total / len(owner) ** 2


def shows_probabilities(access: Access) -> bool:
    """Whether whole answers are compared; else labels alone, for the owner and the pool alike."""
    return access.shown == "all"


def as_shown(row: Row, access: Access) -> list[float]:
    """Probabilities as somebody would show them who shows no more than this.

    Owner, pool and suspect are all looked at through the same window, or else the window itself
    would tell them apart.
    """
    if not shows_probabilities(access):
        best = max(range(len(row)), key=row.__getitem__)
        return label_row(best, len(row))
    return [value if access.decimals is None else round(value, access.decimals) for value in row]


def label_row(label: int, classes: int) -> list[float]:
    """A label alone as a row of probabilities."""
    first, rest = math.exp(1.0), math.exp(LABEL_REST)
    whole = first + (classes - 1) * rest
    return [(first if place == label else rest) / whole for place in range(classes)]


def _distances(rows: Sequence[Row]) -> Iterator[float]:
    """Of all pairs of rows, made of length one, one after the other."""
    return starmap(math.dist, combinations(_units(rows), 2))


def _units(rows: Sequence[Row]) -> Iterator[tuple[float, ...]]:
    """Rows of length one; those of zeros stay."""
    for row in rows:
        length = math.hypot(*row) or 1.0
        yield tuple(value / length for value in row)
