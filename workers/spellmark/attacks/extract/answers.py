"""What can be done to answers before a copy is trained on them, or to a copy's own.

All take probabilities, float64 (n, classes), and give new ones of the same shape.
"""

import numpy as np

from spellmark.attacks.attack import LEAST_PROBABILITY, Answers


def labels_only(answers: Answers) -> Answers:
    """All mass on the most likely class."""
    return np.asarray(np.eye(answers.shape[1])[answers.argmax(1)], np.float64)


def flattened(answers: Answers) -> Answers:
    """The most likely class keeps its probability; the others share the rest evenly."""
    classes = answers.shape[1]
    rows, tops = np.arange(len(answers)), answers.argmax(1)
    kept = answers[rows, tops]
    flat = np.repeat((1 - kept)[:, None] / (classes - 1), classes, axis=1)
    flat[rows, tops] = kept
    return flat


def rounded(answers: Answers, decimals: int) -> Answers:
    """So many digits after the point; the sum may no longer be one."""
    return answers.round(decimals)


def largest(answers: Answers, count: int) -> Answers:
    """The `count` most likely classes as they are, and nothing for the others."""
    order = np.argsort(-answers, axis=1, kind="stable")
    shown = answers.copy()
    np.put_along_axis(shown, order[:, count:], 0, axis=1)
    return shown


def smoothed(answers: Answers, share: float) -> Answers:
    """A share of the mass is spread over all classes alike: label smoothing."""
    return np.asarray((1 - share) * answers + share / answers.shape[1], np.float64)


def tempered(answers: Answers, temperature: float) -> Answers:
    """The softmax at another temperature: above one, the small probabilities are raised."""
    raised = np.maximum(answers, LEAST_PROBABILITY) ** (1 / temperature)
    return np.asarray(raised / raised.sum(1, keepdims=True), np.float64)
