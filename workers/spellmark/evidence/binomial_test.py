"""The exact binomial test of triggers: how often would uniform labels fit the answers as well?

Each trigger's label is uniform over the classes, independent of its image and of all other labels.
So, whatever a suspect answers that never depended on the key, and however its answers hang
together, each answer is the trigger's label with probability 1/classes, independently: even a
suspect that favours one class, or whose every answer is alike, hits Binomial(n, 1/classes) times.
The suspect may even be shown each label after its answer, for the next one is new.

Whole numbers and the standard library alone: outsiders redo the test with it.
"""

from fractions import Fraction
from math import comb

# Close to the smallest float: below it p-values are rounded up, which is on the safe side.
SMALLEST_STATED = 1e-300


def binomial_tail(hits: int, trials: int, classes: int) -> Fraction:
    """P(X >= hits) for X ~ Binomial(trials, 1/classes), exactly."""
    if hits <= 0:
        return Fraction(1)
    ways = sum(
        comb(trials, count) * (classes - 1) ** (trials - count) for count in range(hits, trials + 1)
    )
    return Fraction(ways, classes**trials)


def binomial_null(trials: int, classes: int) -> tuple[float, ...]:
    """P(X = hits) for hits from 0 to trials."""
    total = classes**trials
    return tuple(
        float(Fraction(comb(trials, hits) * (classes - 1) ** (trials - hits), total))
        for hits in range(trials + 1)
    )
