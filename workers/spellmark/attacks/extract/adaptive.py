"""Asking an API about what the copy is least sure of."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from torch import nn

from spellmark.attacks.attack import Answer, Answers, Images, Progress
from spellmark.attacks.extract.training import Trainer
from spellmark.training.inference import predict_probabilities

# Of so many times as many uncertain images those are asked about that lie far apart.
CANDIDATES = 2
# What a copy between two rounds is trained, beside the last one.
BETWEEN = 3


def adaptive(
    api: Answer,
    trainer: Trainer,
    images: Images,
    *,
    count: int,
    rounds: int,
    generator: np.random.Generator,
    progress: Progress | None = None,
) -> nn.Module:
    """A copy from `count` answers, which are asked for in rounds.

    The first round is random. In each of the others the copy so far answers all images that are
    left; of the most uncertain ones (by entropy) those are taken whose answers differ most from
    each other and from the ones taken before (farthest first). It stands in the place of the
    adaptive adversary of Knockoff nets (1812.02766), whose rewards need images sorted by class.
    """
    count = min(count, len(images))
    rounds = max(1, min(rounds, count))
    order = generator.permutation(len(images))
    taken, left = order[: count // rounds], order[count // rounds :]
    answers = api(images[taken])
    short = replace(
        trainer, epochs=max(1, trainer.epochs // BETWEEN), steps=trainer.steps // BETWEEN
    )
    for number in range(1, rounds):

        def report(share: float, text: str, number: int = number) -> None:
            if progress:
                progress((number - 1 + share) / rounds, f"round {number} of {rounds}, {text}")

        copy = short(images[taken], answers, progress=report)
        wanted = count * (number + 1) // rounds - len(taken)
        chosen = uncertain_and_apart(
            predict_probabilities(copy, trainer.card, images[left]), wanted
        )
        taken, left = np.concatenate([taken, left[chosen]]), np.delete(left, chosen)
        answers = np.concatenate([answers, api(images[taken[-wanted:]])])

    def last(share: float, text: str) -> None:
        if progress:
            progress((rounds - 1 + share) / rounds, f"round {rounds} of {rounds}, {text}")

    return trainer(images[taken], answers, progress=last)


def uncertain_and_apart(answers: Answers, count: int) -> npt.NDArray[np.int64]:
    """Numbers of `count` answers (n, classes) of high entropy that are far from each other."""
    entropy = -(answers * np.log(np.maximum(answers, 1e-12))).sum(1)
    candidates = np.argsort(-entropy, kind="stable")[: CANDIDATES * count]
    # Square roots, so that the small probabilities count too (the Hellinger distance).
    points = np.sqrt(answers[candidates])
    nearest = np.full(len(points), np.inf)
    chosen: list[int] = []
    farthest = 0
    for _ in range(min(count, len(points))):
        chosen.append(farthest)
        nearest = np.minimum(nearest, ((points - points[farthest]) ** 2).sum(1))
        nearest[farthest] = -1
        farthest = int(nearest.argmax())
    return np.asarray(candidates[chosen], np.int64)
