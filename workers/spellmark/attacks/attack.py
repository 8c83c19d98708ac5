"""What every attack on a lock starts from, and what it comes back with."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment
from torch import nn

from spellmark.errors import SpellmarkError
from spellmark.locks.opened_key import Images as Images
from spellmark.locks.opened_key import Labels as Labels
from spellmark.model_files.card import ModelCard
from spellmark.training.datasets import Split
from spellmark.training.inference import predict_probabilities

Answers = npt.NDArray[np.float64]
Answer = Callable[[Images], Answers]
Progress = Callable[[float, str], None]

LEAST_PROBABILITY = 1e-9


class AttackError(SpellmarkError):
    """An attack that cannot be run on this model or with these images."""


@dataclass(frozen=True)
class AttackResult:
    """What an attack reached, and at what cost.

    accuracy: in [0, 1], on held-out images that the thief gives to the model in his way, with the
    labels as he learned them. How much of the key is right says nothing: a key that differs in
    every entry can work as well.
    labels_used: the labelled images he had. evaluations: how often he ran the model on a batch.
    seconds: of processor time, all threads together. details: what else is worth telling, ready for
    JSON.
    """

    name: str
    accuracy: float
    labels_used: int
    evaluations: int
    seconds: float
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Target:
    """What a thief of a locked model holds: its weights and the lock's public parameters."""

    model: nn.Module
    card: ModelCard
    # LockParameters or PromptLockParameters; both say whether the lock's labels are keyed.
    parameters: Any

    def prepared(self, images: Images) -> Images:
        """Plain images in the size that the locked model takes."""
        return images

    def answers(self, transformed: Images) -> Answers:
        """Logarithms of the class probabilities, float64 (n, classes), of transformed images."""
        probabilities = predict_probabilities(self.model, self.card, transformed)
        return np.log(np.maximum(probabilities, LEAST_PROBABILITY))

    def relabelling(self, answers: Answers, labels: Labels) -> Labels:
        """Which answer stands for which class, int64 (classes,), as these images suggest.

        Under keyed labels it is the permutation of greatest likelihood; else the identity.
        """
        if self.parameters.labels == "plain":
            return np.arange(self.card.classes)
        return assignment(_totals(answers, labels, self.card.classes))

    def likelihood(self, answers: Answers, labels: Labels) -> float:
        """The mean log-likelihood of the labels under their best relabelling; 0 is perfect."""
        wanted = self.relabelling(answers, labels)[labels]
        return float(answers[np.arange(len(labels)), wanted].mean())

    def hits(self, answers: Answers, labels: Labels) -> float:
        """The share of right answers under the relabelling that makes it greatest, in [0, 1]."""
        given = answers.argmax(1)
        if self.parameters.labels == "plain":
            return float((given == labels).mean())
        counts = _totals(np.eye(self.card.classes)[given], labels, self.card.classes)
        return float(counts[np.arange(self.card.classes), assignment(counts)].sum() / len(labels))


def assignment(gains: npt.NDArray[np.float64]) -> Labels:
    """The column for each row, no two the same, with the greatest total gain: int64 (rows,)."""
    return np.asarray(linear_sum_assignment(gains, maximize=True)[1], np.int64)


def _totals(answers: Answers, labels: Labels, classes: int) -> npt.NDArray[np.float64]:
    totals = np.zeros((classes, classes))
    np.add.at(totals, labels, answers)
    return totals


class Attempt:
    """Times an attack and measures what it reached."""

    def __init__(self, name: str, target: Target, attacker: Split) -> None:
        if not len(attacker):
            raise AttackError(
                "The thief has no labelled images.", hint="Give at least one image with its label."
            )
        self.name, self.target, self.attacker = name, target, attacker
        self._started = time.process_time()

    def result(
        self, answer: Answer, test: Split, evaluations: int, **details: object
    ) -> AttackResult:
        """Measure on held-out images; `answer` runs plain images through the thief's model.

        The relabelling is learned from the thief's own images alone.
        """
        answers = answer(self.attacker.images)
        relabelling = self.target.relabelling(answers, self.attacker.labels)
        classes = np.argsort(relabelling)[answer(test.images).argmax(1)]
        return self.direct(classes, test, evaluations, **details)

    def direct(
        self, classes: Labels, test: Split, evaluations: int, **details: object
    ) -> AttackResult:
        """Measure the classes that the thief's model gives for the held-out images."""
        seconds = time.process_time() - self._started
        accuracy = float((classes == test.labels).mean())
        return AttackResult(
            self.name, accuracy, len(self.attacker), evaluations, seconds, dict(details)
        )
