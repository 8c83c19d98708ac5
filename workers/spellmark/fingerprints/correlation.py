"""Correlation of samples: whether a suspect sees the same likenesses between inputs as the owner.

The answers to n probes are compared among themselves, and the two n×n matrices with each other, so
the label spaces may differ. Source: SAC (2210.15427), SAC-JC (2412.20768). Probabilities are
compared, which an API gives and which tell more than logits.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from spellmark.evidence.fingerprint_scores import LABEL_REST

Answers = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
Kernel = Literal["cosine", "rbf"]


@dataclass(frozen=True)
class Correlation:
    """score: one minus the mean distance of the matrices, in [0, 1]; higher is closer. by_probe:
    the mean distance of each probe's relations, float64 (n,): where the two differ most.
    """

    score: float
    by_probe: npt.NDArray[np.float64]


def correlation(owner: Answers, suspect: Answers, kernel: Kernel = "cosine") -> Correlation:
    """Compare probabilities, float64 (n, classes), of the same n probes; the classes may differ."""
    return compare(matrix(owner, kernel), suspect, kernel)


def compare(owner: Answers, suspect: Answers, kernel: Kernel = "cosine") -> Correlation:
    """The same for an owner's matrix (n, n) that was computed once for many suspects."""
    if owner.shape != (len(suspect), len(suspect)) or not len(suspect):
        raise ValueError(f"answers to {len(suspect)} probes do not fit a matrix of {owner.shape}")
    distance = np.abs(matrix(suspect, kernel) - owner)
    return Correlation(float(1 - distance.mean()), distance.mean(axis=1))


def matrix(answers: Answers, kernel: Kernel = "cosine") -> Answers:
    """The relations of all pairs of probes, float64 (n, n).

    cosine: (1 - cos) / 2. rbf: exp(-|a - b|²) of answers of length one. Rows of zeros stay zeros.
    """
    lengths = np.linalg.norm(answers, axis=1, keepdims=True)
    units = answers / np.where(lengths > 0, lengths, 1)
    products = units @ units.T
    # A probe is its own likeness exactly, whatever rounding says.
    if kernel == "cosine":
        relations = (1 - products) / 2
        np.fill_diagonal(relations, 0)
        return relations
    squares = np.diag(products)
    relations = np.exp(-np.maximum(squares[:, None] + squares[None] - 2 * products, 0))
    np.fill_diagonal(relations, 1)
    return relations


def label_rows(labels: Labels, classes: int) -> Answers:
    """Labels alone, int64 (n,), as probabilities: softmax of one at the class, 0.01 elsewhere."""
    logits = np.full((len(labels), classes), LABEL_REST)
    logits[np.arange(len(labels)), labels] = 1.0
    powers = np.exp(logits)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float64)
