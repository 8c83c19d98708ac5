"""From answers to evidence: how a suspect leans at each place of a guard's mark.

A place is a class in the answers of one row of the key: of the inputs of one cell whose best class
is the same. The suspect's probabilities are held against those of the unmarked owner's model
and of other models that never saw it, as far as the suspect shows them. What is left is measured
within the inputs of one best class, so that a suspect's confidence does not count. Nothing here
depends on the key's signs, so any choice would leave the test exact. The standard library alone:
outsiders redo it.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median

from spellmark.evidence.answer_access import Access, AccessReader

Row = Sequence[float]

# A lean is measured in this and in how far the references differ among themselves: where models
# that never saw the mark disagree, a suspect's lean says less. Alone, a reference stands for both.
SCALE = 0.25
ALONE = 0.25
# One answer says no more than this, in log units: models differ wildly about a few inputs, and
# the mark shows a little on all.
MOST_OF_ONE = 0.5
# Evidence is held in whole numbers, so that sums are exact everywhere.
UNITS = 64
LEAST_CENTRED = 3

TAIL, LABEL = "tail", "label"


@dataclass(frozen=True, order=True)
class Place:
    """Where a sign of the key shows.

    kind: TAIL, or LABEL for the label channel. first: the best class, or the lower one of a
    close pair. other: the class whose probability leans, or the higher one of the pair.
    """

    kind: str
    cell: int
    first: int
    other: int


@dataclass(frozen=True)
class Question:
    """What is known of an input before it is asked about.

    reference: the owner's unmarked answer. cell: of the input. others: what models say of it that
    never saw a mark, such as copies of the unmarked API: they tell how copies lean by themselves.
    """

    reference: tuple[float, ...]
    cell: int
    others: tuple[tuple[float, ...], ...] = ()


@dataclass
class _Lean:
    """Sums over the answers that told of a place.

    total: how far the suspect was from what is expected. apart: how far each reference was.
    """

    total: float = 0.0
    count: int = 0
    apart: list[float] = field(default_factory=list)

    def add(self, value: float, apart: Sequence[float]) -> None:
        self.total += value
        self.count += 1
        self.apart = self.apart or [0.0] * len(apart)
        self.apart = [a + b for a, b in zip(self.apart, apart, strict=True)]

    @property
    def mean(self) -> float:
        return self.total / self.count

    @property
    def mean_apart(self) -> list[float]:
        return [total / self.count for total in self.apart]


@dataclass
class MarkEvidence:
    """What the answers so far say about a mark of this strength.

    classes: of the model. strength, label_margin: the guard's, in thousandths of the mass and in
    hundredths of a log-odds unit.
    """

    classes: int
    strength: int
    label_margin: int
    _answers: list[tuple[Question, Row]] = field(default_factory=list)
    _leans: dict[int, dict[Place, _Lean]] = field(default_factory=lambda: defaultdict(dict))

    def __post_init__(self) -> None:
        self._reader = AccessReader(self.classes)
        self._access = self._reader.access

    @property
    def access(self) -> Access:
        """What the answers so far show."""
        return self._access

    def add(self, question: Question, answer: Row) -> int:
        """Take one more answer, non-negative and of a sum of at most one.

        Returns the class under which the places stand that it may tell of.
        """
        self._answers.append((question, answer))
        self._reader.add(answer)
        if self._reader.access == self._access:
            self._weigh(question, answer)
        else:
            self._access = self._reader.access
            self._leans.clear()
            for asked, given in self._answers:
                self._weigh(asked, given)
        if self.label_margin and is_close(question.reference, self.label_margin):
            return min(_best_two(question.reference))
        return _best(question.reference)

    def leans(self, first: int | None = None) -> dict[Place, float]:
        """How the suspect leans at each place that was seen, in (-1, 1).

        first: only places in answers of this best class, and of pairs with it as the lower one.
        """
        chosen = self._leans.values() if first is None else [self._leans[first]]
        found = {}
        for places in chosen:
            tails = [place for place in sorted(places) if place.kind == TAIL]
            for place in sorted(places.keys() - set(tails)):
                lean = places[place]
                found[place] = math.tanh(lean.mean * math.sqrt(lean.count))
            values = _centred([places[place].mean for place in tails])
            spreads = _spreads([places[place].mean_apart for place in tails])
            for place, value, spread in zip(tails, values, spreads, strict=True):
                found[place] = math.tanh(value / (SCALE + spread))
        return found

    def count(self, place: Place) -> int:
        """How many answers told of the place."""
        return self._leans[place.first][place].count

    def _weigh(self, question: Question, answer: Row) -> None:
        for place, value, apart in self._told(question, answer):
            self._leans[place.first].setdefault(place, _Lean()).add(value, apart)

    def _told(
        self, question: Question, answer: Row
    ) -> Iterator[tuple[Place, float, Sequence[float]]]:
        """The places that an answer tells of, with the suspect's lean and each reference's."""
        reference, cell, given = question.reference, question.cell, _best(answer)
        best, second = _best_two(reference)
        if self.label_margin and is_close(reference, self.label_margin):
            low, high = sorted((best, second))
            if given in (low, high):
                share = fmean(row[high] > row[low] for row in (reference, *question.others))
                yield Place(LABEL, cell, low, high), (given == high) - share, ()
        elif given == best and self._access.has_tails:
            others = [other for other in range(self.classes) if other != best]
            floor, soft = _floor(answer, self._access, self.classes), self._softening()
            references = [
                [math.log(_shown(row[other], floor, self._access) + soft) for other in others]
                for row in (reference, *question.others)
            ]
            expected = [fmean(values) for values in zip(*references, strict=True)]
            suspect = [math.log(max(answer[other], floor) + soft) for other in others]
            leans = _from_expected(suspect, expected)
            apart = [_from_expected(row, expected) for row in references]
            for place, (other, lean) in enumerate(zip(others, leans, strict=True)):
                yield Place(TAIL, cell, best, other), lean, [row[place] for row in apart]

    def _softening(self) -> float:
        """What is added before logarithms: differences far below the mark's mass say nothing."""
        soft = self.strength / 50_000
        if self._access.decimals is not None:
            soft = max(soft, 0.5 * 10.0**-self._access.decimals)
        return soft


def _from_expected(row: Sequence[float], expected: Sequence[float]) -> list[float]:
    """How far one answer is from what is expected, class by class, its confidence taken away."""
    leans = _centred([value - other for value, other in zip(row, expected, strict=True)])
    return [max(-MOST_OF_ONE, min(MOST_OF_ONE, value)) for value in leans]


def _centred(values: Sequence[float]) -> list[float]:
    middle = median(values) if len(values) >= LEAST_CENTRED else 0.0
    return [value - middle for value in values]


def _spreads(apart: Sequence[Sequence[float]]) -> list[float]:
    """Place by place, how far the references are apart: their standard deviation."""
    if not apart or len(apart[0]) < 2:
        return [ALONE] * len(apart)
    centred = zip(*(_centred(values) for values in zip(*apart, strict=True)), strict=True)
    return [math.sqrt(fmean(value * value for value in values)) for values in centred]


def in_units(lean: float) -> int:
    """A lean in whole units, as the sign test takes it."""
    return round(UNITS * lean)


def is_close(reference: Row, label_margin: int) -> bool:
    """Whether an answer lies within the label channel's margin."""
    best, second = _best_two(reference)
    return reference[second] > reference[best] * math.exp(-label_margin / 100)


def _best(row: Row) -> int:
    return max(range(len(row)), key=row.__getitem__)


def _best_two(row: Row) -> tuple[int, int]:
    best, second = sorted(range(len(row)), key=lambda place: -row[place])[:2]
    return best, second


def _floor(answer: Row, access: Access, classes: int) -> float:
    """What a class may have at the most that is not among the largest shown; else zero."""
    if access.largest is None:
        return 0.0
    shown = [value for value in answer if value > 0]
    left = max(1 - sum(answer), 0.0)
    return min(min(shown, default=0.0), left / max(classes - len(shown), 1))


def _shown(value: float, floor: float, access: Access) -> float:
    """The owner's probability as a suspect would show it that shows no more than this one."""
    if access.decimals is not None:
        value = round(value, access.decimals)
    return max(value, floor)
