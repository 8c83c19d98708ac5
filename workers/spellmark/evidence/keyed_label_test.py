"""The exact keyed-label test: hits of the key's label permutations, among all permutations.

A lock with keyed labels answers π(c) for an image of class c that was transformed under the key,
with a uniform permutation π that the key derives by itself. If the suspect never depended on the
key, π is independent of all its answers, whatever the suspect is and however they hang together.
So the answers stay fixed and the permutations are the randomness: with N[c, a] probes of class c
that were answered a, the hits Σ N[c, σ(c)] under a uniform σ have a distribution that can be
counted, and the hits under π are held against it. Sub-keys have independent permutations, and
their hits add up.

Plain integers and the standard library alone: outsiders redo the test with it.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import perm

from spellmark.errors import SpellmarkError

# 2 ** 12 sets of classes are walked through; more classes would decide nothing that 12 do not.
MOST_CLASSES = 12
# Close to the smallest float: below it p-values are rounded up, which is on the safe side.
SMALLEST_STATED = 1e-300


class KeyedLabelError(SpellmarkError):
    """Probes, answers and permutations that do not belong together."""


@dataclass(frozen=True)
class KeyedLabelResult:
    """`statistic` hits in all; `p_value` = P(hits >= statistic), in [1e-300, 1].

    `null[t]` is the probability of exactly t hits for a suspect that never depended on the key, for
    t from 0 to the number of answers.
    """

    statistic: int
    p_value: float
    null: tuple[float, ...]


def probe_classes(classes: int, probes: int) -> int:
    """Of how many classes a run with this many probes shows images."""
    return min(classes, probes, MOST_CLASSES)


def smallest_p(classes: int, probes: int, subkeys: int) -> float:
    """The smallest p-value that this many classes, probes and sub-keys can show."""
    return _stated(Fraction(1, perm(classes, probe_classes(classes, probes)) ** subkeys))


def subkeys_needed(alpha: float, classes: int, probes: int) -> int:
    """How many sub-keys a test at level alpha, above 0, needs at the least."""
    subkeys = 1
    while smallest_p(classes, probes, subkeys) > max(alpha, SMALLEST_STATED):
        subkeys += 1
    return subkeys


def keyed_label_test(
    labels: Sequence[int], answers: Sequence[Sequence[int]], permutations: Sequence[Sequence[int]]
) -> KeyedLabelResult:
    """Test the answers to n probes under each sub-key.

    labels: the probes' classes, (n,), of at most MOST_CLASSES different ones.
    answers: the suspect's answers under each sub-key, (sub-keys, n); what is not in range(classes)
    is never a hit.
    permutations: each sub-key's label permutation, (sub-keys, classes).

    The p-value is exact: P(p_value <= a) <= a under the null for every a. Raises KeyedLabelError.
    """
    _check(labels, answers, permutations)
    hits, ways = 0, [1]
    for given, permutation in zip(answers, permutations, strict=True):
        pairs = Counter((int(c), int(a)) for c, a in zip(labels, given, strict=True))
        hits += sum(count for (c, a), count in pairs.items() if permutation[c] == a)
        ways = _product(ways, _ways(pairs, len(permutation)))
    total = sum(ways)
    null = [float(Fraction(count, total)) for count in ways]
    null += [0.0] * (len(labels) * len(answers) + 1 - len(null))
    return KeyedLabelResult(hits, _stated(Fraction(sum(ways[hits:]), total)), tuple(null))


def _ways(pairs: Counter[tuple[int, int]], classes: int) -> list[int]:
    """How many injections of the probes' classes into all classes give 0, 1, 2, … hits.

    A sum over injections σ of Π x^N[c, σ(c)], written with x^N = 1 + (x^N - 1): the second term
    vanishes where N is 0, so that only sets of pairs that were answered are walked through, and the
    classes that such a set leaves over can go anywhere else.
    """
    seen = sorted({c for c, _ in pairs})
    total = perm(classes, len(seen))
    # A polynomial in x is held as its value at 2 ** bits; the last one's coefficients fit in bits.
    bits = total.bit_length()
    columns = defaultdict(list)
    for (c, a), count in pairs.items():
        if 0 <= a < classes:
            columns[a].append((1 << seen.index(c), count))
    sets = {0: 1}
    for column in columns.values():
        grown = dict(sets)
        for row, count in column:
            for chosen, value in sets.items():
                if not chosen & row:
                    term = (value << count * bits) - value
                    grown[chosen | row] = grown.get(chosen | row, 0) + term
        sets = grown
    packed = sum(
        value * perm(classes - chosen.bit_count(), len(seen) - chosen.bit_count())
        for chosen, value in sets.items()
    )
    return _unpacked(packed, bits)


def _product(left: list[int], right: list[int]) -> list[int]:
    bits = (sum(left) * sum(right)).bit_length()
    return _unpacked(_packed(left, bits) * _packed(right, bits), bits)


def _packed(coefficients: list[int], bits: int) -> int:
    return sum(value << place * bits for place, value in enumerate(coefficients))


def _unpacked(value: int, bits: int) -> list[int]:
    coefficients = []
    while value:
        coefficients.append(value & (1 << bits) - 1)
        value >>= bits
    return coefficients


def _stated(p: Fraction) -> float:
    return max(float(p), SMALLEST_STATED)


def _check(
    labels: Sequence[int], answers: Sequence[Sequence[int]], permutations: Sequence[Sequence[int]]
) -> None:
    classes = len(permutations[0]) if len(permutations) else 0
    if len(answers) != len(permutations) or any(len(given) != len(labels) for given in answers):
        raise KeyedLabelError(
            "The answers are not one for each probe under each sub-key.", hint="Give all of them."
        )
    if not classes or any(sorted(map(int, p)) != list(range(classes)) for p in permutations):
        raise KeyedLabelError(
            "The label permutations are not permutations of the same classes.",
            hint="Take them from the opened key.",
        )
    seen = {int(label) for label in labels}
    if len(seen) > MOST_CLASSES or not seen <= set(range(classes)):
        raise KeyedLabelError(
            f"The probes are not of at most {MOST_CLASSES} of the {classes} classes.",
            hint="Choose the probes with spellmark.evidence.draws.choose_probes.",
        )
