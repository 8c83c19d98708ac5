"""Stealing with few answers: a copy labels by itself what it cannot afford to ask about.

The recipe of Towards Few-Call Model Stealing via Active Self-Paced Knowledge Distillation and
Diffusion-Based Image Generation (2310.00096). Its images come from a diffusion model; here they are
those that the thief has, of which he knows no class.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from torch import nn

from spellmark.attacks.attack import Answer, Answers, Images, Progress
from spellmark.attacks.extract.training import Trainer, features
from spellmark.training.inference import predict_labels

NEIGHBOURS = 5
# The paper divides distances by 600 in its own features. Ours have another scale, so distances are
# divided by their mean first; this is then how steeply the far ones fall off.
STEEPNESS = 2.0
_TINY = 1e-12


def few_calls(
    api: Answer,
    trainer: Trainer,
    images: Images,
    *,
    count: int,
    rounds: int,
    generator: np.random.Generator,
    change: Callable[[Answers], Answers] = lambda answers: answers,
    progress: Progress | None = None,
) -> nn.Module:
    """A copy from `count` answers and from images that it labels itself.

    Half of the answers are asked for at random. Each round then takes half of what is left to ask:
    images near the mean of the class that the copy sees in them are likelier to be drawn. In the
    end those never asked about get the mean of the answers to their five nearest neighbours.
    change: what is made of the API's answers, such as labels alone, and of those means.
    """
    count = min(count, len(images))
    taken = generator.permutation(len(images))[: -(-count // 2)]
    answers = change(api(images[taken]))
    copy = trainer(images[taken], answers, progress=_part(progress, 0, rounds + 2))
    for number in range(rounds):
        wanted = count - len(taken)
        if number < rounds - 1:
            wanted = -(-wanted // 2)
        if not wanted:
            break
        left = np.setdiff1d(np.arange(len(images)), taken)
        seen = features(copy, trainer.card, images[left])
        chances = near_means(seen, predict_labels(copy, trainer.card, images[left]))
        drawn = generator.choice(left, wanted, replace=False, p=chances)
        taken = np.concatenate([taken, drawn])
        answers = np.concatenate([answers, change(api(images[drawn]))])
        copy = trainer(images[taken], answers, progress=_part(progress, number + 1, rounds + 2))
    left = np.setdiff1d(np.arange(len(images)), taken)
    if not len(left):
        return copy
    known, unknown = (features(copy, trainer.card, images[part]) for part in (taken, left))
    guessed = change(by_neighbours(known, answers, unknown))
    return trainer(
        images[np.concatenate([taken, left])],
        np.concatenate([answers, guessed]),
        progress=_part(progress, rounds + 1, rounds + 2),
    )


def near_means(
    seen: npt.NDArray[np.float64], labels: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """The chance of each image to be drawn, float64 (n,), from its features (n, features).

    It falls exponentially with the distance to the mean of the images of its label.
    """
    distances = np.empty(len(seen))
    for label in np.unique(labels):
        own = labels == label
        distances[own] = np.linalg.norm(seen[own] - seen[own].mean(0), axis=1)
    weights = np.exp(-STEEPNESS * distances / max(distances.mean(), _TINY))
    return np.asarray(weights / weights.sum(), np.float64)


def by_neighbours(
    known: npt.NDArray[np.float64], answers: Answers, unknown: npt.NDArray[np.float64]
) -> Answers:
    """The mean answer of the nearest known images by cosine, float64 (unknown, classes)."""
    known, unknown = (
        part / np.maximum(np.linalg.norm(part, axis=1, keepdims=True), _TINY)
        for part in (known, unknown)
    )
    count = min(NEIGHBOURS, len(known))
    guessed = np.empty((len(unknown), answers.shape[1]))
    # Piece by piece: all similarities at once would not fit into memory.
    for start in range(0, len(unknown), 1000):
        alike = unknown[start : start + 1000] @ known.T
        nearest = np.argpartition(-alike, count - 1, axis=1)[:, :count]
        guessed[start : start + 1000] = answers[nearest].mean(1)
    return guessed


def _part(progress: Progress | None, number: int, count: int) -> Progress:
    def report(share: float, text: str) -> None:
        if progress:
            progress((number + share) / count, text)

    return report
