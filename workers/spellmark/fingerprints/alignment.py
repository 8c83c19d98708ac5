"""Laying the units of one layer over those of another, so that their order and scale hide nothing.

The neurons of a layer may be permuted, and those before a ReLU rescaled, without changing what a
network computes, as long as the next layer is changed to match: it costs no accuracy and erases
marks that sit in the weights.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

Array = npt.NDArray[np.float64]
Order = npt.NDArray[np.int64]

# An assignment takes time with the cube of the units.
MOST_UNITS = 2048
_BALANCING, _ROUNDS = 20, 4


@dataclass(frozen=True)
class Aligned:
    """A layer laid over another: units and inputs in the order in which they fit best.

    suspect: float64 (units, inputs, taps), balanced. similarity: its cosine with the owner's, in
    [-1, 1]; unmoved: the same before anything was put in another order. units, inputs: the
    suspect's place for each of the owner's.
    """

    suspect: Array
    similarity: float
    unmoved: float
    units: Order
    inputs: Order


def balanced(layer: Array) -> Array:
    """A layer (units, inputs, taps) whose units and inputs all have the same length.

    Rescaling units and inputs leads to the same balanced layer (Sinkhorn's iteration on squares).
    Units and inputs of zeros stay zeros. Float64 of the same shape back, of length one.
    """
    result = layer.astype(np.float64)
    for _ in range(_BALANCING):
        for axes in ((1, 2), (0, 2)):
            lengths = np.sqrt((result**2).sum(axis=axes, keepdims=True))
            result = result / np.where(lengths > 0, lengths, 1)
    whole = float(np.linalg.norm(result))
    return np.asarray(result / whole if whole else result, np.float64)


def align(owner: Array, suspect: Array, starts: list[Order], *, fixed_inputs: bool) -> Aligned:
    """Lay the suspect's layer over the owner's: both balanced, (units, inputs, taps).

    starts: orders of the inputs to begin with, such as that of the layer before. From each, units
    and inputs are assigned in turn until nothing improves; the best end counts. fixed_inputs: keep
    the first order of the inputs, which for pixels is the only one.
    """
    units, inputs, _ = owner.shape
    if max(units, inputs) > MOST_UNITS:
        return _aligned(owner, suspect, np.arange(units), np.arange(inputs))
    best: Aligned | None = None
    for start in starts:
        found = _climb(owner, suspect, start, fixed_inputs)
        if best is None or found.similarity > best.similarity:
            best = found
        if best.similarity > 1 - 1e-9:
            break
    assert best is not None
    return best


def signature_order(owner: Array, suspect: Array) -> Order:
    """An order of the inputs from what permuting the units leaves alone: each one's sorted weights.

    It finds a copy whose units and inputs were both permuted.
    """
    ours, theirs = (
        np.sort(np.abs(layer), axis=0).transpose(1, 0, 2).reshape(layer.shape[1], -1)
        for layer in (owner, suspect)
    )
    return _assigned(ours, theirs)


def _climb(owner: Array, suspect: Array, inputs: Order, fixed_inputs: bool) -> Aligned:
    count = len(owner)
    units = np.arange(count)
    before = -2.0
    for _ in range(_ROUNDS):
        shown = suspect[:, inputs]
        units = _assigned(owner.reshape(count, -1), shown.reshape(count, -1))
        if not fixed_inputs:
            ours = owner.transpose(1, 0, 2).reshape(owner.shape[1], -1)
            theirs = suspect[units].transpose(1, 0, 2).reshape(owner.shape[1], -1)
            inputs = _assigned(ours, theirs)
        found = _aligned(owner, suspect, units, inputs)
        if fixed_inputs or found.similarity <= before + 1e-9:
            break
        before = found.similarity
    return found


def _aligned(owner: Array, suspect: Array, units: Order, inputs: Order) -> Aligned:
    laid = suspect[units][:, inputs]
    return Aligned(laid, float((owner * laid).sum()), float((owner * suspect).sum()), units, inputs)


def _assigned(ours: Array, theirs: Array) -> Order:
    """For each row of ours the row of theirs, so that the sum of products is largest."""
    _, columns = linear_sum_assignment(ours @ theirs.T, maximize=True)
    return np.asarray(columns, np.int64)
