"""Asking a suspect about a guard's mark: which inputs, and what its answers say."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, zip_longest
from typing import Any

import numpy as np
import numpy.typing as npt

from spellmark.evidence.mark_evidence import TAIL, Place, Question, is_close
from spellmark.evidence.mark_rule import MarkDecision, MarkRule, MarkRun, Signs
from spellmark.secrets import permutation, subkey
from spellmark.watermarks.dynamic.guard import Guard, Thresholds
from spellmark.watermarks.dynamic.mark_key import MarkKey
from spellmark.watermarks.dynamic.parameters import SCHEME, DynamicMarkError, MarkParameters

Images = npt.NDArray[np.uint8]
Answers = npt.NDArray[np.float64]

# A sure answer has an empty tail, in which a mark is seen best.
SURE = 0.9
# References are told in the transcript: so many digits are enough.
DIGITS = 6


@dataclass(frozen=True)
class Questions:
    """Inputs to ask about, in order: their places among those that could be chosen, the inputs
    themselves, uint8 (n, C, H, W), and what is known of each before it is asked.
    """

    indices: tuple[int, ...]
    images: Images
    asked: tuple[Question, ...]

    def __len__(self) -> int:
        return len(self.indices)


def choose_questions(
    key: MarkKey,
    thresholds: Thresholds | None,
    reference: Answers,
    images: Images,
    *,
    seed: bytes,
    wanted: int,
    others: Sequence[Answers] = (),
) -> Questions:
    """Questions that tell of as many places of the key as can be, row by row in turn.

    reference: the owner's unmarked probabilities, float64 (n, classes), of uint8 images (n, C, H,
    W). The images come in the uniform order that the 32-byte seed gives, those that the owner's
    model is sure of first; with a label channel every second one lies within its margin. The choice
    depends on the cells, never on a sign. others: what other models say of the images that never
    saw the mark; they make weak marks clearer. Raises DynamicMarkError.
    """
    if not len(images) or reference.shape != (len(images), key.parameters.classes):
        raise DynamicMarkError(
            "There is not one reference answer for each image to ask about.",
            hint="Give the unmarked model's probabilities of the images.",
        )
    guard = Guard(key, thresholds=thresholds)
    tops = reference.argmax(1)
    found = guard.cells_of(tops, images)
    cells = np.zeros(len(images), np.int64) if found is None else found
    told = [Question(_digits(row), int(cell)) for row, cell in zip(reference, cells, strict=True)]
    order = permutation(subkey(seed, binding=b"", scheme=SCHEME, purpose="questions"), len(images))
    margin = key.parameters.label_margin
    close = [n for n in order if margin and is_close(told[n].reference, margin)]
    is_taken = set(close)
    plain = sorted((n for n in order if n not in is_taken), key=lambda n: reference[n].max() < SURE)
    rows = _in_turn(plain, lambda n: (cells[n], tops[n]))
    pairs = _in_turn(close, lambda n: (cells[n], *np.sort(reference[n].argsort()[-2:])))
    chosen = [n for n in chain.from_iterable(zip_longest(rows, pairs)) if n is not None][:wanted]
    asked = tuple(
        replace(told[n], others=tuple(_digits(answers[n]) for answers in others)) for n in chosen
    )
    return Questions(tuple(chosen), images[chosen], asked)


def examine(
    answer: Callable[[Images], Answers],
    questions: Questions,
    rule: MarkRule,
    keys: Mapping[str, MarkKey],
) -> MarkDecision:
    """Ask a suspect at hand, and decide: `answer` gives its probabilities, float64 (n, classes).

    keys: of the clients, by name. All questions are put at once; the run still ends where it would
    have ended had they been put one by one.
    """
    run = MarkRun(rule, {client: signs_of(key) for client, key in keys.items()})
    for question, row in zip(questions.asked, answer(questions.images), strict=True):
        run.add(question, row.tolist())
        if run.decided:
            break
    return run.decide()


def rule_for(parameters: MarkParameters, **choices: Any) -> MarkRule:
    """The rule of a run against a guard with these parameters; `choices` are those of MarkRule.

    Raises MarkRuleError.
    """
    return MarkRule(
        classes=parameters.classes, cells=parameters.cells, strength=parameters.strength,
        label_margin=parameters.label_margin, **choices,
    )  # fmt: skip


def signs_of(key: MarkKey) -> Signs:
    """The key's sign at each place."""

    def sign(place: Place) -> int:
        row = key.row if place.kind == TAIL else key.pair_row
        return int(row(place.cell, place.first)[place.other])

    return sign


def _digits(row: Answers) -> tuple[float, ...]:
    return tuple(map(float, row.round(DIGITS)))


def _in_turn(numbers: list[int], group: Callable[[int], Any]) -> Iterator[int]:
    """One of each group after the other, the groups in the order in which they come up."""
    groups: dict[Any, list[int]] = defaultdict(list)
    for number in numbers:
        groups[group(number)].append(number)
    rounds = zip_longest(*groups.values())
    return (number for number in chain.from_iterable(rounds) if number is not None)
