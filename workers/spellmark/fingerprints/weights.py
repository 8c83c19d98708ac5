"""Comparing the weights of a suspect file with those of a registered version, layer by layer.

Units are aligned and scales balanced first, so that permuting and rescaling hide nothing. Signs are
not: networks with odd activations, such as tanh, can hide behind them. Layers are compared in the
order of the architecture; their names may differ.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from spellmark.fingerprints.alignment import MOST_UNITS, Aligned, align, balanced, signature_order
from spellmark.training.weights import load

Tensors = Mapping[str, npt.NDArray[Any]]
Array = npt.NDArray[np.float64]

COPY, FINE_TUNED, PRUNED, QUANTISED, MERGED, INDEPENDENT = RELATIONS = (
    "copy", "fine-tuned", "pruned", "quantised", "merged", "independent",
)  # fmt: skip

# Below this an aligned layer is like those of networks that learned alone.
_RELATED = 0.6
_SAME, _UNCHANGED = 1 - 1e-9, 1 - 1e-6
_PRUNED = 0.05
# Aligning noise gains a little; undoing a permutation gains much more.
_MOVED = 0.1
# So many values or fewer are levels, not weights.
_LEVELS = 256
_MERGED_FIT, _MERGED_MOST, _MERGED_LEAST = 0.97, 0.7, 0.1


@dataclass(frozen=True)
class Layer:
    """One layer that both files have.

    similarity: cosine after aligning, in [-1, 1]. moved: whether its units stand in another order.
    changed: whether it differs from the owner's beyond order and scale. zeros: the share of the
    suspect's weights that are zero, beyond the owner's. levels: how many values its weights take,
    where they are few; else None. share: how much of the owner's weights is in the suspect's.
    """

    name: str
    size: int
    similarity: float
    moved: bool
    changed: bool
    zeros: float
    levels: int | None
    share: float


@dataclass(frozen=True)
class WeightComparison:
    """score: the mean similarity, layers counting by the root of their size; None without layers
    to compare. relation: one of RELATIONS, what explains the layers best; a reading, not a test.
    permuted: whether units stand in another order.
    """

    score: float | None
    relation: str
    permuted: bool
    layers: tuple[Layer, ...]

    @property
    def changed(self) -> tuple[str, ...]:
        """The layers that differ beyond order and scale."""
        return tuple(layer.name for layer in self.layers if layer.changed)

    def as_rows(self) -> list[dict[str, Any]]:
        """The layers for a transcript, ready for JSON."""
        return [
            {**asdict(layer), "similarity": round(layer.similarity, 6)} for layer in self.layers
        ]


def read_tensors(path: Path) -> dict[str, npt.NDArray[Any]]:
    """The tensors of a model file in the order of its architecture's layers.

    A file holds them by name, which says nothing of what comes first. Raises what
    `spellmark.training.weights.load` raises.
    """
    model, _ = load(path)
    return {name: tensor.float().numpy() for name, tensor in model.state_dict().items()}


def compare_weights(owner: Tensors, suspect: Tensors) -> WeightComparison:
    """Compare a suspect's tensors with the owner's.

    Layers are the tensors of two or more axes, (units, inputs, …). Both networks must have layers
    of the same shapes in the same order, or nothing is compared. Source of the attack that is
    withstood: the feature permutation of the robustness toolbox of 2108.04974.
    """
    ours, theirs = _layers(owner), _layers(suspect)
    if not ours or [array.shape for _, array in ours] != [array.shape for _, array in theirs]:
        return WeightComparison(None, INDEPENDENT, False, ())
    # Several threads wait for each other longer than such small products take.
    with threadpool_limits(1, "blas"):
        aligned = _align_all([one for _, one in ours], [one for _, one in theirs])
    layers = tuple(
        _compared(name, one, other, laid)
        for (name, one), (_, other), laid in zip(ours, theirs, aligned, strict=True)
    )
    sizes = np.sqrt([layer.size for layer in layers])
    score = float(np.average([layer.similarity for layer in layers], weights=sizes))
    permuted = any(layer.moved for layer in layers)
    return WeightComparison(score, _relation(layers, score), permuted and score >= _RELATED, layers)


def _layers(tensors: Tensors) -> list[tuple[str, Array]]:
    """Names and weights, float64 (units, inputs, taps)."""
    return [
        (name, tensor.astype(np.float64).reshape(tensor.shape[0], tensor.shape[1], -1))
        for name, tensor in tensors.items()
        if tensor.ndim >= 2 and tensor.size and np.issubdtype(tensor.dtype, np.floating)
    ]


def _align_all(ours: Sequence[Array], theirs: Sequence[Array]) -> list[Aligned]:
    aligned: list[Aligned] = []
    for number, (one, other) in enumerate(zip(ours, theirs, strict=True)):
        own, before = one, aligned[-1] if aligned else None
        suspect = other
        # After a convolution a linear layer takes each channel at many places: those stay together.
        if before is not None and own.shape[2] == 1 and own.shape[1] > len(before.units):
            channels, rest = len(before.units), own.shape[1] % len(before.units)
            if not rest:
                own = own.reshape(len(own), channels, -1)
                suspect = suspect.reshape(len(suspect), channels, -1)
        own, suspect = balanced(own), balanced(suspect)
        inputs = np.arange(own.shape[1])
        starts = [inputs]
        if number:
            if before is not None and len(before.units) == own.shape[1]:
                starts.append(before.units)
            if own.shape[1] <= MOST_UNITS:
                starts.append(signature_order(own, suspect))
        aligned.append(align(own, suspect, starts, fixed_inputs=number == 0))
    return aligned


def _compared(name: str, own: Array, suspect: Array, laid: Aligned) -> Layer:
    zeros = float((suspect == 0).mean() - (own == 0).mean())
    values = len(np.unique(suspect))
    few = values <= min(_LEVELS, suspect.size // 4) and values < len(np.unique(own)) // 2
    share = float((own * suspect).sum() / max(float((own * own).sum()), 1e-300))
    return Layer(
        name=name,
        size=own.size,
        similarity=laid.similarity,
        moved=laid.similarity - laid.unmoved > _MOVED,
        changed=laid.similarity < _UNCHANGED,
        zeros=round(max(zeros, 0.0), 6),
        levels=values if few else None,
        share=round(share, 6),
    )


def _relation(layers: Sequence[Layer], score: float) -> str:
    if score < _RELATED and not any(layer.similarity > _SAME for layer in layers):
        return INDEPENDENT
    if all(layer.similarity > _UNCHANGED for layer in layers):
        return COPY
    if all(layer.levels for layer in layers if layer.changed):
        return QUANTISED
    sizes = [layer.size for layer in layers]
    if float(np.average([layer.zeros for layer in layers], weights=sizes)) >= _PRUNED:
        return PRUNED
    shares = [layer.share for layer in layers]
    if score < _MERGED_FIT and max(shares) < _MERGED_MOST and min(shares) > _MERGED_LEAST:
        return MERGED
    return FINE_TUNED
