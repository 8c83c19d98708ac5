"""Distilling a locked model through somebody who holds its key."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from spellmark.attacks.attack import AttackResult, Images, Progress, Target
from spellmark.attacks.fine_tune import fine_tune
from spellmark.locks.opened_key import OpenedKey
from spellmark.training.datasets import Split


def distillation(
    target: Target,
    key: OpenedKey,
    images: Images,
    test: Split,
    *,
    generator: np.random.Generator,
    grid: Sequence[int],
    progress: Progress | None = None,
) -> list[AttackResult]:
    """Train a fresh model on the labels that the unlocked one gave for the thief's plain images.

    One result for each size of the grid; no true label is used. The lock can do nothing about it:
    beside training from scratch on true labels it shows what the answers alone are worth.
    """
    images = images[: max(grid)]
    answered = key.decode(target.answers(key(images)).argmax(1))
    found = fine_tune(
        target, None, Split(images, answered), test,
        generator=generator, grid=grid, ways=("from-scratch",), progress=progress,
    )  # fmt: skip
    return [replace(result, name="distillation") for result in found]
