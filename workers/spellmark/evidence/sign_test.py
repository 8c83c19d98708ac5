"""The exact test of evidence against key signs: how often would random signs fit as well?

A guard's key gives every place of a mark a uniform sign of its own. If the suspect never depended
on the key, the signs are independent of all its answers, whatever the suspect is and however its
answers hang together. So the evidence stays fixed and the signs are the randomness: the sum of
evidence × sign over random signs has a distribution that can be counted, and the sum under the true
key is held against it.

Plain integers and the standard library alone: outsiders redo the test with it.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# Counting takes time and memory that grow with the square of the places; beyond, a bound is taken.
MOST_COUNTED = 600
# Close to the smallest float: below it p-values are rounded up, which is on the safe side.
SMALLEST_STATED = 1e-300


@dataclass(frozen=True)
class SignTestResult:
    """`statistic` is the sum of evidence × sign, `p_value` = P(sum >= statistic) in [1e-300, 1]."""

    statistic: int
    p_value: float


def smallest_p(places: int) -> float:
    """The smallest p-value that so many places can show."""
    return max(2.0 ** -min(places, 1000), SMALLEST_STATED)


def sign_test(evidence: Sequence[int], signs: Sequence[int]) -> SignTestResult:
    """Test whole-number evidence, one for each place, against the key's signs, +1 or -1.

    P(p_value <= a) <= a under the null for every a. Up to MOST_COUNTED places that are not zero the
    p-value is exact; for more it is Chernoff's bound, which is never below the exact one. Where the
    sum is not above zero it is 1.
    """
    statistic = sum(value * sign for value, sign in zip(evidence, signs, strict=True))
    sizes = [abs(value) for value in evidence if value]
    if statistic <= 0 or len(sizes) > MOST_COUNTED:
        p = chernoff_bound(sizes, statistic)
    else:
        p = counted(sizes, statistic)
    return SignTestResult(statistic, max(p, SMALLEST_STATED))


def counted(sizes: Sequence[int], statistic: int) -> float:
    """P(Σ ±size >= statistic) for independent fair signs, counted.

    The sum is the total less twice the sizes that got a minus. So subsets of small enough sums are
    counted, by the coefficients of Π (1 + x^size): a polynomial is held as its value at
    x = 2 ** bits, where `bits` is wide enough for every coefficient.
    """
    most = (sum(sizes) - statistic) // 2
    if most < 0:
        return 0.0
    bits = len(sizes) + 1
    kept = (1 << (most + 1) * bits) - 1
    product = 1
    for size in sizes:
        product += product << size * bits & kept
    return _coefficient_sum(product, bits) / (1 << len(sizes))


def chernoff_bound(sizes: Iterable[int], statistic: int) -> float:
    """min over t of E[exp(t Σ ±size)] exp(-t statistic), at least P(Σ ±size >= statistic).

    Chernoff's bound; Hoeffding's is the same with the cosh bounded from above.
    """
    # As many terms as there are different sizes, however many places.
    chosen = Counter(sizes)
    energy = sum(count * size * size for size, count in chosen.items())
    if statistic <= 0 or not energy:
        return 1.0

    def exponent(t: float) -> float:
        return sum(n * _log_cosh(t * size) for size, n in chosen.items()) - t * statistic

    # Convex in t: the best one lies between zero and a few times where Hoeffding's lies.
    low, high = 0.0, statistic / energy
    while exponent(2 * high) < exponent(high) and high < 1e6:
        high *= 2
    high *= 2
    for _ in range(100):
        third = (high - low) / 3
        if exponent(low + third) < exponent(high - third):
            high -= third
        else:
            low += third
    return min(1.0, math.exp(max(exponent((low + high) / 2), -700.0)))


def _log_cosh(x: float) -> float:
    return abs(x) + math.log1p(math.exp(-2 * abs(x))) - math.log(2)


def _coefficient_sum(packed: int, bits: int) -> int:
    """The sum of all coefficients, in halves: cutting a number in two costs its length."""
    count = -(-packed.bit_length() // bits)
    if count <= 1:
        return packed
    half = count // 2
    low = packed & (1 << half * bits) - 1
    return _coefficient_sum(low, bits) + _coefficient_sum(packed >> half * bits, bits)
