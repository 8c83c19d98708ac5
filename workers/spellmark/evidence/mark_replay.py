"""A guard's run from its transcript: what is disclosed, and the verdict redone from it.

The standard library alone: outsiders verify with this.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from spellmark.evidence.mark_evidence import LABEL, TAIL, Place, Question
from spellmark.evidence.mark_rule import MarkDecision, MarkRule, MarkRun, Signs
from spellmark.evidence.transcript import Exchange

Rows = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class MarkDisclosure:
    """What a transcript tells once the answers are in, so that anyone can redo the test.

    questions: in the order of the probes. signs: of the key that fits best, by its client's name,
    the rows that were asked about: by kind, then by “cell/first class”, a text of one `+` or `-`
    for each class.
    """

    questions: tuple[Question, ...]
    signs: Mapping[str, Rows]

    @classmethod
    def of(cls, rule: MarkRule, questions: Sequence[Question], keys: Mapping[str, Signs]) -> Self:
        """What is told of these keys: the rows that the questions may tell of."""
        signs = {
            client: {
                kind: {
                    f"{cell}/{first}": "".join(
                        "+" if _has_sign(kind, first, other)
                        and key(Place(kind, cell, first, other)) > 0 else "-"
                        for other in range(rule.classes)
                    )
                    for cell, first in sorted(rows)
                }
                for kind, rows in _rows(rule, questions).items()
            }
            for client, key in keys.items()
        }  # fmt: skip
        return cls(tuple(questions), signs)

    @classmethod
    def read(cls, header: Mapping[str, Any]) -> Self:
        """What a transcript's header tells. Raises KeyError, TypeError, ValueError."""
        questions = tuple(
            Question(own, int(cell), tuple(others))
            for (own, *others), cell in zip(
                _numbers(header["references"]), header["cells"], strict=True
            )
        )
        return cls(questions, header["signs"])

    def as_dict(self) -> dict[str, Any]:
        """The header's part, ready for JSON."""
        return {
            "references": [(question.reference, *question.others) for question in self.questions],
            "cells": [question.cell for question in self.questions],
            "signs": self.signs,
        }

    def keys(self) -> dict[str, Signs]:
        """The disclosed signs of each client's key."""
        return {client: _looked_up(rows) for client, rows in self.signs.items()}


def replay(rule: MarkRule, told: MarkDisclosure, exchanges: Iterable[Exchange]) -> MarkDecision:
    """The rule's verdict on the recorded answers, in the order in which they were asked for.

    Raises ValueError for a question about a cell that the guard has not.
    """
    if any(not 0 <= question.cell < rule.cells for question in told.questions):
        raise ValueError("a question is about a cell that the guard has not")
    run = MarkRun(rule, told.keys())
    for exchange in exchanges:
        if exchange.state == "answered" and not run.decided:
            hear(run, told.questions, exchange)
    return run.decide()


def hear(run: MarkRun, questions: Sequence[Question], exchange: Exchange) -> bool:
    """Give a run one answered exchange. Returns whether enough is known.

    A label alone is taken for a probability of one.
    """
    answer = exchange.probabilities or tuple(
        float(place == exchange.labels[0]) for place in range(run.rule.classes)
    )
    run.add(questions[exchange.probe], answer)
    return run.decided


def _numbers(references: Any) -> Iterator[list[tuple[float, ...]]]:
    """For each question the owner's answer and those of the other models."""
    return ([tuple(map(float, row)) for row in rows] for rows in references)


def _rows(rule: MarkRule, questions: Iterable[Question]) -> dict[str, set[tuple[int, int]]]:
    rows: dict[str, set[tuple[int, int]]] = defaultdict(set)
    for question in questions:
        order = sorted(range(rule.classes), key=lambda place: -question.reference[place])
        rows[TAIL].add((question.cell, order[0]))
        if rule.label_margin:
            rows[LABEL].add((question.cell, min(order[:2])))
    return rows


def _has_sign(kind: str, first: int, other: int) -> bool:
    return other > first if kind == LABEL else other != first


def _looked_up(rows: Rows) -> Signs:
    def sign(place: Place) -> int:
        return 1 if rows[place.kind][f"{place.cell}/{place.first}"][place.other] == "+" else -1

    return sign
