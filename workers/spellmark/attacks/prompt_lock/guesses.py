"""Trying edits one by one, and keeping the one under which the locked model answers best."""

from collections.abc import Iterable, Sized
from typing import Protocol

import numpy as np

from spellmark.attacks.attack import AttackError, AttackResult, Attempt, Images, Progress, Target
from spellmark.training.datasets import Split


class Guess(Protocol):
    """What a thief does to plain images before the locked model sees them."""

    def __call__(self, images: Images) -> Images:
        """uint8 (n, C, H, W) in and out."""
        ...


class Guesses(Sized, Iterable[Guess], Protocol):
    """Some of them."""


def best_guess(
    name: str,
    target: Target,
    guesses: Guesses,
    attacker: Split,
    test: Split,
    *,
    tried_on: int,
    progress: Progress | None = None,
) -> AttackResult:
    """Try each guess on the first `tried_on` labelled images, and measure the best.

    All of the labelled images teach what the answers of the best one stand for. Raises AttackError
    where there is nothing to try.
    """
    attempt, few = Attempt(name, target, attacker), attacker[:tried_on]
    best, best_score, count = None, -np.inf, len(guesses)
    for number, guess in enumerate(guesses):
        score = target.likelihood(target.answers(guess(few.images)), few.labels)
        if score > best_score:
            best, best_score = guess, score
        if progress:
            progress((number + 1) / count, f"guess {number + 1:,} of {count:,}")
    if best is None:
        raise AttackError(f"There is nothing to try for “{name}”.", hint="Leave this attack out.")
    chosen = best
    return attempt.result(lambda images: target.answers(chosen(images)), test, count)
