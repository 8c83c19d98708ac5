"""The guard: marks probability vectors on their way out of a prediction API."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from spellmark.watermarks.dynamic.kernels import compiled, keep_largest, two_best
from spellmark.watermarks.dynamic.mark_key import MarkKey
from spellmark.watermarks.dynamic.parameters import DynamicMarkError

Probabilities = npt.NDArray[np.floating[Any]]
Thresholds = npt.NDArray[np.float64]

# Twice what rounding to the coarsest floats, bfloat16, can change a sum of one by.
SUM_TOLERANCE = 2.0**-8
# Smaller than any difference of two probabilities that are not the same.
_TINY = 1e-300


class Guard:
    """Marks answers: `guard(probabilities)` gives the answers to send instead.

    The same input always gets the same answer, so that asking twice averages nothing out. The most
    likely class of an answer stays what it was, the first one of a tie; only the label channel,
    where it is switched on, exchanges the two best classes of close answers. `strength` thousandths
    of the mass go to those classes that have a plus in the key's row of the best class; less where
    more would change the best class.

    decimals, top_k: how the API shortens its answers, if it does. Given here it is done after the
    mark, and never moves the best class to another one.
    thresholds: of the cells, from `calibrate`; needed where the key has more than one cell.
    input_shape: of the inputs by which the cells were cut. Inputs of another shape are refused, for
    they would fall into other cells; only flat ones of as many numbers are taken to be in the same
    order, and those of one channel wherever the channel stands. None: inputs are not checked.

    Raises DynamicMarkError.
    """

    def __init__(
        self,
        key: MarkKey,
        *,
        thresholds: Thresholds | None = None,
        input_shape: Sequence[int] | None = None,
        decimals: int | None = None,
        top_k: int | None = None,
    ) -> None:
        self.key, self.decimals, self.top_k = key, decimals, top_k
        self.classes, self.cells = key.parameters.classes, key.parameters.cells
        self.thresholds = _checked_thresholds(key, thresholds)
        self.input_shape = None if input_shape is None else tuple(input_shape)
        self._strength = key.parameters.strength / 1000
        self._unit = 0.0 if decimals is None else 10.0**-decimals
        self._find_tops, self._mark = compiled()
        is_short = top_k is not None and top_k < self.classes
        self._keep = keep_largest() if is_short else None
        if key.parameters.label_margin:
            two_best()  # compiles it

    def __call__(
        self, probabilities: Probabilities | Sequence[Any], inputs: npt.NDArray[Any] | None = None
    ) -> Probabilities:
        """Marked answers of the same shape and dtype, (n, classes) or (classes,); lists as float64.

        inputs: what the answers are about, any numbers (n, ...), on any scale; read by guards with
        cells only. Raises DynamicMarkError for what are not probabilities.
        """
        if not isinstance(probabilities, np.ndarray):
            probabilities = _as_array(probabilities)
        if probabilities.ndim == 1:
            return np.asarray(
                self(probabilities[None], None if inputs is None else inputs[None])[0]
            )
        answers, tops = self._checked(probabilities)
        cells = self.cells_of(tops, inputs)
        if self.key.parameters.label_margin:
            answers = self._with_labels(answers, cells)
            tops = answers.argmax(1)
        shown = self._shortened(self._with_tails(answers, tops, cells))
        if probabilities.dtype != np.float64:
            shown = shown.astype(probabilities.dtype)
        elif self.decimals is None:
            return shown
        # Fewer digits may show a tie where there was none, even without the mark.
        if len(lost := np.flatnonzero(shown.argmax(1) != tops)):
            shown[lost] = self._shortened(answers[lost])
            shown[lost, tops[lost]] += self._unit * (shown[lost].argmax(1) != tops[lost])
        return shown

    def cells_of(
        self, tops: npt.NDArray[np.int64], inputs: npt.NDArray[Any] | None
    ) -> npt.NDArray[np.int64] | None:
        """The cell of each input, int64 (n,) below `cells`, given its best class; None for one."""
        if self.cells == 1:
            return None
        if inputs is None or len(inputs) != len(tops):
            raise DynamicMarkError(
                "This guard looks at the inputs too, and was not given one for each answer.",
                hint="Call it with the answers and what they are about: guard(answers, inputs).",
            )
        assert self.thresholds is not None
        above = _projected(self.key, self._in_shape(inputs)) > self.thresholds[tops]
        places = 1 << np.arange(above.shape[1])
        return np.asarray(above @ places, np.int64)

    def _in_shape(self, inputs: npt.NDArray[Any]) -> npt.NDArray[Any]:
        wanted, given = self.input_shape, inputs.shape[1:]
        if wanted is None or given == wanted:
            return inputs
        sides = [tuple(side for side in shape if side != 1) for shape in (given, wanted)]
        if sides[0] == sides[1] or given == (math.prod(wanted),):
            return inputs.reshape(len(inputs), *wanted)
        raise DynamicMarkError(
            f"The inputs are of shape {given}, but the cells are cut by inputs of {wanted}.",
            hint="Give it the inputs in the shape and order of the registered model's.",
        )

    def _checked(
        self, given: Probabilities
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """As float64, if they are probabilities, and the best class of each."""
        if given.ndim != 2 or given.shape[1] != self.classes:
            raise DynamicMarkError(
                f"Answers of shape {given.shape} are not one row of {self.classes} probabilities "
                "for each input.",
                hint="Give the guard what the model's softmax gave.",
            )
        answers = np.ascontiguousarray(given, np.float64)
        tops = np.empty(len(answers), np.int64)
        if not self._find_tops(answers, SUM_TOLERANCE, tops):
            raise DynamicMarkError(
                "The answers are not probabilities: they are negative, or do not sum to one.",
                hint="Give the guard what the model's softmax gave, before any rounding.",
            )
        return answers, tops

    def _with_tails(
        self,
        answers: npt.NDArray[np.float64],
        tops: npt.NDArray[np.int64],
        cells: npt.NDArray[np.int64] | None,
    ) -> npt.NDArray[np.float64]:
        signs = np.empty(answers.shape, np.int8)
        for number, top in enumerate(tops.tolist()):
            signs[number] = self.key.row(0 if cells is None else int(cells[number]), top)
        marked = np.empty(answers.shape)
        self._mark(answers, signs, tops, self._strength, marked)
        return marked

    def _with_labels(
        self, answers: npt.NDArray[np.float64], cells: npt.NDArray[np.int64] | None
    ) -> npt.NDArray[np.float64]:
        """Close answers with their two best classes in the key's order."""
        answers = answers.copy()
        for number, first, second in close_pairs(answers, self.key.parameters.label_margin):
            low, high = sorted((first, second))
            cell = 0 if cells is None else int(cells[number])
            wins = high if self.key.pair_row(cell, low)[high] > 0 else low
            if wins != first:
                answers[number, [first, second]] = answers[number, [second, first]]
        return answers

    def _shortened(self, answers: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        if self._keep is not None:
            whole, answers = answers, np.empty_like(answers)
            self._keep(whole, self.top_k, answers)
        return answers if self.decimals is None else np.round(answers, self.decimals)


def calibrate(
    key: MarkKey, probabilities: Probabilities, inputs: npt.NDArray[Any]
) -> Thresholds | None:
    """Where the cells of each class are cut: float64 (classes, log2 cells), or None for one cell.

    The medians of the class's inputs under each projection, so that each cell gets its part; of all
    inputs for a class that has none. probabilities: the model's own answers (n, classes) about the
    inputs (n, ...).
    """
    if key.parameters.cells == 1:
        return None
    if not len(inputs):
        raise DynamicMarkError("There are no inputs to cut into cells.", hint="Give some.")
    projected, tops = _projected(key, inputs), probabilities.argmax(1)
    whole = np.median(projected, axis=0)
    thresholds = np.tile(whole, (key.parameters.classes, 1))
    for top in np.unique(tops):
        thresholds[top] = np.median(projected[tops == top], axis=0)
    return thresholds


def _as_array(rows: Sequence[Any]) -> npt.NDArray[np.float64]:
    try:
        return np.asarray(rows, np.float64)
    except (TypeError, ValueError):
        raise DynamicMarkError(
            "The answers are not numbers in rows of one length.",
            hint="Give the guard what the model's softmax gave.",
        ) from None


def close_pairs(
    answers: npt.NDArray[np.float64], label_margin: int
) -> Sequence[tuple[int, int, int]]:
    """Number, best and second class of the answers within the label channel's margin."""
    pairs = np.empty((len(answers), 2), np.int64)
    two_best()(answers, pairs)
    best, second = np.take_along_axis(answers, pairs, 1).T
    close = second > best * np.exp(-label_margin / 100)
    return [(int(n), int(pairs[n, 0]), int(pairs[n, 1])) for n in np.flatnonzero(close)]


def _projected(key: MarkKey, inputs: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Each input under each projection, (n, log2 cells), whatever its scale and brightness."""
    values = np.asarray(inputs, np.float64).reshape(len(inputs), -1)
    values = values - values.mean(1, keepdims=True)
    spread = values.std(1, keepdims=True)
    projected = values @ key.projections(inputs.shape[1:]).T
    return np.asarray(projected / (np.maximum(spread, _TINY) * np.sqrt(values.shape[1])))


def _checked_thresholds(key: MarkKey, thresholds: Thresholds | None) -> Thresholds | None:
    cells = key.parameters.cells
    if cells == 1:
        return None
    wanted = (key.parameters.classes, cells.bit_length() - 1)
    if thresholds is None or np.shape(thresholds) != wanted:
        raise DynamicMarkError(
            "This key cuts inputs into cells, and the guard does not know where.",
            hint="Use the guard's configuration file, or calibrate(key, answers, inputs).",
        )
    return np.asarray(thresholds, np.float64)
