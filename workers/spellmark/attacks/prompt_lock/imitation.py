"""Doing without the editor: image operations, moments of caught images, a copy of the editor."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F

from spellmark.attacks.attack import AttackError, AttackResult, Attempt, Images, Progress, Target
from spellmark.attacks.front import Front
from spellmark.attacks.prompt_lock.guesses import Guess, best_guess
from spellmark.attacks.prompt_lock.small_editor import ConvolutionFront, as_bytes
from spellmark.locks.prompt_lock.image_operations import HELD_OUT, TRAINED, Operation
from spellmark.training.datasets import Split
from spellmark.training.inference import BATCH, device

Values = npt.NDArray[np.float64]
OPERATIONS = (*TRAINED.values(), *HELD_OUT.values())
# Directions in which caught images hardly vary tell nothing of how to stretch plain ones.
LEAST_VARIANCE = 1.0
LEARNING_BATCH = 16


@dataclass(frozen=True)
class RandomOperations:
    """So many image operations of random kinds and strengths, one after the other."""

    count: int
    generator: np.random.Generator

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Guess]:
        for number in range(self.count):
            seed = int(self.generator.integers(2**31))
            yield partial(_operated, OPERATIONS[number % len(OPERATIONS)], seed)


def image_operations(
    target: Target,
    attacker: Split,
    test: Split,
    *,
    generator: np.random.Generator,
    count: int,
    tried_on: int,
    progress: Progress | None = None,
) -> AttackResult:
    """Try image operations, those that the lock was trained against and others."""
    guesses = RandomOperations(count, generator)
    return best_guess(
        "image-operations", target, guesses, attacker, test, tried_on=tried_on, progress=progress
    )


def matched_moments(
    target: Target,
    leaked: Images,
    attacker: Split,
    test: Split,
    *,
    tried_on: int,
    progress: Progress | None = None,
) -> AttackResult:
    """Give plain images the moments of edited ones that were caught, in three ways, and keep the
    best: mean and deviation of all pixels, of every pixel, and the whole covariance.

    leaked: uint8 (m, C, H, W), of other pictures than the thief's own.
    """
    if len(leaked) < 2:
        raise AttackError("Two caught images at least give moments.", hint="Leave this attack out.")
    plain = attacker.images
    ways = [_matched_tones(plain, leaked), _matched_pixels(plain, leaked)]
    if min(len(plain), len(leaked)) > 2:
        ways.append(_matched_covariance(plain, leaked))
    return best_guess(
        "matched-moments", target, ways, attacker, test, tried_on=tried_on, progress=progress
    )


def copied_editor(
    target: Target,
    pairs: tuple[Images, Images],
    attacker: Split,
    test: Split,
    *,
    generator: np.random.Generator,
    steps: int,
    progress: Progress | None = None,
) -> AttackResult:
    """Train a small network on images seen both plain and edited, by their squared difference.

    pairs: plain and edited, both uint8 (m, C, H, W).
    """
    plain, edited = pairs
    if not len(plain):
        raise AttackError("There are no pairs to learn from.", hint="Leave this attack out.")
    attempt = Attempt("copied-editor", target, attacker)
    front = ConvolutionFront(plain.shape[1:], generator).to(device())
    optimiser = torch.optim.Adam(front.parameters(), 3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps, 3e-5)
    size = min(LEARNING_BATCH, len(plain))
    for step in range(steps):
        chosen = generator.choice(len(plain), size, replace=False)
        loss = F.mse_loss(front(_pixels(plain[chosen])), _pixels(edited[chosen]))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        if progress:
            progress((step + 1) / steps, f"step {step + 1:,} of {steps:,}")
    return attempt.result(
        lambda images: target.answers(through(front, images)), test, steps, pairs=len(plain)
    )


@torch.inference_mode()
def through(front: Front, images: Images) -> Images:
    """Images as a front changes them, uint8 (n, C, H, W)."""
    parts = [
        as_bytes(front(_pixels(images[start : start + BATCH])))
        for start in range(0, len(images), BATCH)
    ]
    return np.concatenate(parts)


def _pixels(images: Images) -> torch.Tensor:
    return torch.from_numpy(images.copy()).to(device()).float().div_(255)


def _operated(operation: Operation, seed: int, images: Images) -> Images:
    # The same strength for every batch of images.
    return operation(images, np.random.default_rng(seed))


def _rounded(values: Values, shape: tuple[int, ...]) -> Images:
    return np.clip(np.round(values), 0, 255).astype(np.uint8).reshape(shape)


def _matched_tones(plain: Images, leaked: Images) -> Guess:
    mean, spread = plain.mean(), plain.std() or 1.0
    wanted_mean, wanted_spread = leaked.mean(), leaked.std()

    def guess(images: Images) -> Images:
        return _rounded((images - mean) / spread * wanted_spread + wanted_mean, images.shape)

    return guess


def _matched_pixels(plain: Images, leaked: Images) -> Guess:
    """Ranks of a pixel's values stay: higher before is higher after, as under a print screen."""
    mean, spread = plain.mean(0, dtype=np.float64), np.maximum(plain.std(0, dtype=np.float64), 1)
    wanted_mean, wanted_spread = leaked.mean(0), leaked.std(0)

    def guess(images: Images) -> Images:
        return _rounded((images - mean) / spread * wanted_spread + wanted_mean, images.shape)

    return guess


def _matched_covariance(plain: Images, leaked: Images) -> Guess:
    """Whitening and colouring: the symmetric square roots of both covariances."""
    before, mean = _centred(plain)
    after, wanted = _centred(leaked)
    change = _root(before, -0.5) @ _root(after, 0.5)

    def guess(images: Images) -> Images:
        flat = images.reshape(len(images), -1).astype(np.float64)
        return _rounded((flat - mean) @ change + wanted, images.shape)

    return guess


def _centred(images: Images) -> tuple[Values, Values]:
    flat = images.reshape(len(images), -1).astype(np.float64)
    return np.cov(flat, rowvar=False), flat.mean(0)


def _root(covariance: Values, power: float) -> Values:
    values, vectors = np.linalg.eigh(covariance)
    values = np.maximum(values, LEAST_VARIANCE)
    return np.asarray((vectors * values**power) @ vectors.T)
