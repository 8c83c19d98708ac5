"""Correlation of samples: whether a suspect sees the same likenesses between inputs as the owner.

The answers to n probes are compared among themselves, and the two n×n matrices with each other, so
the label spaces may differ. Source: SAC (2210.15427), SAC-JC (2412.20768). Probabilities are
compared, which an API gives and which tell more than logits.
"""

from typing import Literal

import numpy as np
import numpy.typing as npt

from spellmark.evidence.fingerprint_scores import LABEL_REST

Answers = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
Kernel = Literal["cosine", "rbf"]


def compare(owner: Answers, suspect: Answers, kernel: Kernel = "cosine") -> float:
    """One minus the mean distance of the matrices, in [0, 1]; higher is closer.

    owner: the matrix (n, n) of the owner's answers, computed once for many suspects. suspect:
    probabilities, float64 (n, classes), for the same n probes; the classes may differ. Raises
    ValueError where they do not belong together.
    """
    if owner.shape != (len(suspect), len(suspect)) or not len(suspect):
        raise ValueError(f"answers to {len(suspect)} probes do not fit a matrix of {owner.shape}")
    return float(1 - np.abs(matrix(suspect, kernel) - owner).mean())


def matrix(answers: Answers, kernel: Kernel = "cosine") -> Answers:
    """The relations of all pairs of probes, float64 (n, n).

    Of answers of length one: |a - b|² / 4, which is (1 - cos) / 2, for cosine; exp(-|a - b|²) for
    rbf. Rows of zeros stay zeros.
    """
    lengths = np.linalg.norm(answers, axis=1, keepdims=True)
    units = answers / np.where(lengths > 0, lengths, 1)
    products = units @ units.T
    squares = np.diag(products)
    distances = np.maximum(squares[:, None] + squares[None] - 2 * products, 0)
    # A probe is its own likeness exactly, whatever rounding says.
    np.fill_diagonal(distances, 0)
    return distances / 4 if kernel == "cosine" else np.exp(-distances)


def label_rows(labels: Labels, classes: int) -> Answers:
    """Labels alone, int64 (n,), as probabilities: softmax of one at the class, 0.01 elsewhere."""
    logits = np.full((len(labels), classes), LABEL_REST)
    logits[np.arange(len(labels)), labels] = 1.0
    powers = np.exp(logits)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float64)
