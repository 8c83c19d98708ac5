"""How much better a suspect bears a style than others do: the score of an external feature.

The mean over held-out images of log p(y | in the style) - log p(y | plain); of labels alone the
change of the accuracy. After VEF (2112.03476, section 3.3) and MOVE (2208.02820, black-box); they
put prediction differences to a classifier and a t-test over samples, which accuses innocent models.
The standard library alone: outsiders redo it.
"""

import math
from collections.abc import Iterable, Mapping, Sequence

from spellmark.evidence.answer_access import Access, AccessReader
from spellmark.evidence.fingerprint_scores import as_shown, shows_probabilities
from spellmark.evidence.transcript import Exchange

Row = Sequence[float]

# What each image is asked as: as it is, in the owner's style, in a style that nobody holds.
PLAIN, STYLED, CONTROL = SLOTS = (0, 1, 2)

# A probability below this counts as this: no single image decides, nor do digits that are not told.
LEAST_PROBABILITY = 1e-4


def whole_probes(exchanges: Iterable[Exchange]) -> dict[int, tuple[int, tuple[Row, ...]]]:
    """The probes that were answered in all slots: their class, and a row for each slot.

    One that misses a slot is left out, or else it would favour the others. A label alone is a
    probability of one. All rows have one length.
    """
    heard: dict[int, dict[int, Exchange]] = {}
    for one in exchanges:
        if one.state == "answered":
            heard.setdefault(one.probe, {})[one.first_slot] = one
    whole = {probe: parts for probe, parts in heard.items() if parts.keys() == set(SLOTS)}
    width = max(
        (1 + max(one.label, one.labels[0], len(one.probabilities) - 1)
         for parts in whole.values() for one in parts.values()),
        default=2,
    )  # fmt: skip
    return {
        probe: (parts[PLAIN].label, tuple(_row(parts[slot], max(2, width)) for slot in SLOTS))
        for probe, parts in sorted(whole.items())
    }


def access_of(probes: Mapping[int, tuple[int, Sequence[Row]]]) -> Access:
    """What the answers to all slots have in common."""
    rows = [row for _, slots in probes.values() for row in slots]
    reader = AccessReader(len(rows[0]) if rows else 2)
    for row in rows:
        reader.add(row)
    return reader.access


def style_score(
    labels: Sequence[int], plain: Sequence[Row], styled: Sequence[Row], access: Access
) -> float:
    """The score of answers to the same n images, plain and styled, for somebody of this access.

    Higher is closer to the owner's model: in nats with probabilities, at most 9.3 either way; in
    [-1, 1] with labels alone. n is at least 1.
    """
    measure = _log_of if shows_probabilities(access) else _is_right
    gains = [
        measure(as_shown(b, access), y) - measure(as_shown(a, access), y)
        for y, a, b in zip(labels, plain, styled, strict=True)
    ]
    return math.fsum(gains) / len(gains)


def _log_of(row: Row, label: int) -> float:
    return math.log(max(row[label], LEAST_PROBABILITY))


def _is_right(row: Row, label: int) -> float:
    return float(max(range(len(row)), key=row.__getitem__) == label)


def _row(exchange: Exchange, width: int) -> Row:
    if exchange.probabilities:
        return exchange.probabilities + (0.0,) * (width - len(exchange.probabilities))
    return tuple(float(place == exchange.labels[0]) for place in range(width))
