"""Searching the key: random keys, and climbing from guess to better guess."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from spellmark.attacks.attack import AttackResult, Attempt, Images, Labels, Progress
from spellmark.attacks.key_lock.key_guess import KeyGuess
from spellmark.attacks.key_lock.key_moves import sweep
from spellmark.attacks.key_lock.key_target import KeyTarget
from spellmark.training.datasets import Split

BATCH = 128
SWEEPS = 10
Objective = Callable[[Images], float]


@dataclass(frozen=True)
class Found:
    """The best guess of a search, its score and how many guesses were scored."""

    guess: KeyGuess
    score: float
    evaluations: int


def random_keys(
    target: KeyTarget,
    attacker: Split,
    test: Split,
    *,
    generator: np.random.Generator,
    budget: int = 20_000,
    progress: Progress | None = None,
) -> AttackResult:
    """Try random keys on one batch of labelled images and keep the best.

    Source: the published adaptive attack on 2010.00801 tries 20,000.
    """
    attempt, batch = Attempt("random-keys", target, attacker), attacker[:BATCH]
    best, best_score = KeyGuess.identity(target.geometry, target.parameters), -np.inf
    for number in range(budget):
        guess = KeyGuess.random(target.geometry, target.parameters, generator)
        score = target.hits(target.answers(guess.transform()(batch.images)), batch.labels)
        if score > best_score:
            best, best_score = guess, score
        if progress:
            progress((number + 1) / budget, f"random key {number + 1:,} of {budget:,}")
    return found_result(attempt, Found(best, best_score, budget), test)


def swaps_by_accuracy(
    target: KeyTarget,
    attacker: Split,
    test: Split,
    *,
    generator: np.random.Generator,
    budget: int = 10_000,
    progress: Progress | None = None,
) -> AttackResult:
    """The published hill climb: one start, ten sweeps of swaps, ties accepted.

    Source: the official code of 2010.00801.
    """
    attempt, batch = Attempt("swaps-accuracy", target, attacker), attacker[:BATCH]
    found = climb(
        target,
        batch.images,
        lambda images: target.hits(target.answers(images), batch.labels),
        generator=generator,
        budget=budget,
        restarts=False,
        ties=True,
        progress=progress,
    )
    return found_result(attempt, found, test)


def swaps_by_cross_entropy(
    target: KeyTarget,
    attacker: Split,
    test: Split,
    *,
    generator: np.random.Generator,
    budget: int = 10_000,
    progress: Progress | None = None,
) -> AttackResult:
    """Climb on the likelihood of the labels, from a new start wherever no neighbour is better."""
    attempt, batch = Attempt("swaps-cross-entropy", target, attacker), attacker[:BATCH]
    found = climb(
        target,
        batch.images,
        likelihood_of(target, batch.labels),
        generator=generator,
        budget=budget,
        progress=progress,
    )
    return found_result(attempt, found, test)


def likelihood_of(target: KeyTarget, labels: Labels) -> Objective:
    """The objective that asks for these labels, however they are permuted."""
    return lambda images: target.likelihood(target.answers(images), labels)


def climb(
    target: KeyTarget,
    images: Images,
    objective: Objective,
    *,
    generator: np.random.Generator,
    budget: int,
    start: KeyGuess | None = None,
    restarts: bool = True,
    ties: bool = False,
    progress: Progress | None = None,
) -> Found:
    """Take every neighbour that scores higher (or as high, with `ties`) until the budget is spent.

    `objective` scores the transformed images. The climb begins at `start` or a random key; once a
    sweep brings nothing it begins anew, or ends without `restarts`.
    """
    best, spent = None, 0
    while best is None or (restarts and spent < budget):
        guess = start or KeyGuess.random(target.geometry, target.parameters, generator)
        start = None
        score, spent = objective(guess.transform()(images)), spent + 1
        for _ in range(SWEEPS):
            before = score
            for move in sweep(guess, generator):
                if spent >= budget:
                    break
                other = move(guess)
                reached, spent = objective(other.transform()(images)), spent + 1
                if reached > score or (ties and reached == score):
                    guess, score = other, reached
                if progress:
                    progress(spent / budget, f"{spent:,} of {budget:,} guesses")
            if score == before and not ties:
                break
        if best is None or score > best.score:
            best = Found(guess, score, spent)
    return Found(best.guess, best.score, spent)


def found_result(attempt: Attempt, found: Found, test: Split, **details: object) -> AttackResult:
    """What a found guess is worth on held-out images."""
    transform, target = found.guess.transform(), attempt.target
    return attempt.result(
        lambda images: target.answers(transform(images)),
        test,
        found.evaluations,
        score=found.score,
        **details,
    )
