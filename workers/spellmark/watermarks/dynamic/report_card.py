"""What a guard costs: the answers of a model before and after it, on images with known labels."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from spellmark.watermarks.dynamic.guard import Guard

ECE_BINS = 15
# What a shortened answer leaves of a class that it does not name.
_LEAST = 1e-12


@dataclass(frozen=True)
class GuardReport:
    """Figures on `test_images` answers: `*_before` without the guard, `*_after` with it.

    accuracy: shares of right labels. labels_changed: share of answers whose best class is another
    one; 0 without the label channel. l1: the mean sum of all changes of an answer, in [0, 2].
    confidence: mean probability of the best class. nll: mean negative log-likelihood of the right
    class. ece: expected calibration error over 15 bins of equal width. strength in thousandths.
    """

    accuracy_before: float
    accuracy_after: float
    labels_changed: float
    l1: float
    confidence_before: float
    confidence_after: float
    nll_before: float
    nll_after: float
    ece_before: float
    ece_after: float
    strength: int
    tail_bits: int
    label_bits: int
    test_images: int

    def as_dict(self) -> dict[str, Any]:
        """The report as plain numbers, for JSON."""
        return asdict(self)


def report_card(
    guard: Guard,
    probabilities: npt.NDArray[np.floating[Any]],
    labels: npt.NDArray[np.int64],
    inputs: npt.NDArray[Any],
) -> GuardReport:
    """Measure a guard on the model's own answers (n, classes) about inputs with known labels."""
    marked, parameters = guard(probabilities, inputs), guard.key.parameters
    (before, after) = (_figures(answers, labels) for answers in (probabilities, marked))
    return GuardReport(
        accuracy_before=before[0],
        accuracy_after=after[0],
        labels_changed=float((probabilities.argmax(1) != marked.argmax(1)).mean()),
        l1=float(np.abs(marked - probabilities).sum(1).mean()),
        confidence_before=before[1],
        confidence_after=after[1],
        nll_before=before[2],
        nll_after=after[2],
        ece_before=before[3],
        ece_after=after[3],
        strength=parameters.strength,
        tail_bits=parameters.tail_bits,
        label_bits=parameters.label_bits,
        test_images=len(labels),
    )


def expected_calibration_error(
    confidences: npt.NDArray[np.floating[Any]], right: npt.NDArray[np.bool_]
) -> float:
    """How far confidence and accuracy lie apart: the mean over bins, weighted by their answers."""
    bins = np.minimum((confidences * ECE_BINS).astype(np.int64), ECE_BINS - 1)
    gaps = np.bincount(bins, confidences - right, ECE_BINS)
    return float(np.abs(gaps).sum() / len(confidences))


def _figures(
    answers: npt.NDArray[np.floating[Any]], labels: npt.NDArray[np.int64]
) -> tuple[float, float, float, float]:
    """Accuracy, mean confidence, negative log-likelihood and calibration error."""
    right, confidences = answers.argmax(1) == labels, answers.max(1)
    told = np.maximum(np.take_along_axis(answers, labels[:, None], 1), _LEAST)
    return (
        float(right.mean()),
        float(confidences.mean()),
        float(-np.log(told).mean()),
        expected_calibration_error(confidences, right),
    )
