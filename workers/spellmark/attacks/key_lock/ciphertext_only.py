"""Estimating the key from transformed images alone: natural images correlate in known ways."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy.optimize import quadratic_assignment

from spellmark.attacks.attack import AttackResult, Attempt, Images, Progress
from spellmark.attacks.key_lock.key_guess import KeyGuess
from spellmark.attacks.key_lock.key_target import KeyTarget
from spellmark.attacks.key_lock.search_key import BATCH, Found, found_result, likelihood_of
from spellmark.locks.key_lock.parameters import FLIP, SCRAMBLE, SHUFFLE
from spellmark.locks.key_lock.transforms import Chosen, Order, block_places
from spellmark.training.datasets import Split

Values = npt.NDArray[np.float64]
Moments = Callable[[Values], Values]
MIDDLE_GREY = 127.5


def ciphertext_only(
    target: KeyTarget,
    stolen: Images,
    public: Images,
    attacker: Split,
    test: Split,
    *,
    generator: np.random.Generator,
    starts: int = 20,
    progress: Progress | None = None,
) -> AttackResult:
    """Estimate flips, block order and positions from transformed images that nobody explained.

    `stolen`: transformed images; `public`: other plain images of the lock's size. The labelled
    images choose among the starts and tell keyed labels; substitution is not undone.
    """
    attempt = Attempt("ciphertext-only", target, attacker)
    batch = attacker[:BATCH]
    objective = likelihood_of(target, batch.labels)
    found = Found(KeyGuess.identity(target.geometry, target.parameters), -np.inf, 0)
    for number in range(starts):
        moments = (correlation, moments_about_grey)[number % 2]
        guess = estimate(target, stolen, public, moments, generator=generator)
        score = objective(guess.transform()(batch.images))
        if score > found.score:
            found = Found(guess, score, starts)
        if progress:
            progress((number + 1) / starts, f"start {number + 1} of {starts}")
    return found_result(attempt, found, test, stolen=len(stolen), public=len(public))


def estimate(
    target: KeyTarget,
    stolen: Images,
    public: Images,
    moments: Moments,
    *,
    generator: np.random.Generator,
) -> KeyGuess:
    """One estimate of the key from a random start.

    Flips show as signs; which sign is the flipped one the brightness of the public images tells.
    Positions and blocks are those whose moments resemble the public ones most (quadratic
    assignment by the FAQ method, Vogelstein et al. 2015).
    """
    guess = KeyGuess.identity(target.geometry, target.parameters)
    has, rows = target.parameters.has, len(guess.order)
    places = block_places(target.geometry)
    after = stolen.reshape(len(stolen), -1)[:, places].astype(np.float64)
    before = guess.transform()(public).reshape(len(public), -1)[:, places].astype(np.float64)
    if has(FLIP):
        flipped = np.stack([flip_mask(moments(row)) for row in _samples(after, rows)])
        guess = replace(guess, flipped=_bright_as(flipped, after, before))
        after = np.where(guess.flipped, 255 - after, after)
    if has(SCRAMBLE):
        blocks = _alike(moments(before.mean(2)), moments(after.mean(2)), generator)
        guess, before = replace(guess, blocks=blocks), before[:, blocks]
    if has(SHUFFLE):
        rows_of = zip(_samples(before, rows), _samples(after, rows), strict=True)
        pairs = [(moments(plain), moments(seen)) for plain, seen in rows_of]
        order = np.stack([_alike(*pair, generator) for pair in pairs])
        guess = replace(guess, order=order)
    return guess


def flip_mask(moments: Values) -> Chosen:
    """Which positions are flipped, bool (positions,), up to all inverted, by `Moments`.

    A flip changes the sign of all of a position's moments, and those of natural images are mostly
    positive: the signs of the leading eigenvector are the flips.
    """
    return np.asarray(np.linalg.eigh(moments)[1][:, -1] < 0)


def correlation(samples: Values) -> Values:
    """How the positions of samples (n, positions) correlate: (positions, positions)."""
    centred = samples - samples.mean(0)
    centred /= np.maximum(centred.std(0), 1e-9)
    return np.asarray(centred.T @ centred / len(samples))


def moments_about_grey(samples: Values) -> Values:
    """Second moments about the middle grey, which tell of brightness too."""
    seen = samples / MIDDLE_GREY - 1
    return np.asarray(seen.T @ seen / len(samples))


def _bright_as(flipped: Chosen, after: Values, before: Values) -> Chosen:
    """The masks or their inverses, row by row: whichever makes the images as bright as others."""
    rows = len(flipped)
    wanted = before.mean() if rows == 1 else before.mean((0, 2))
    seen = np.stack([row.mean(0) for row in _samples(after, rows)])
    with_mask, without = (
        np.abs(np.where(mask, 255 - seen, seen).mean(1) - wanted) for mask in (flipped, ~flipped)
    )
    return np.where((with_mask <= without)[:, None], flipped, ~flipped)


def _samples(values: Values, rows: int) -> list[Values]:
    """Images in blocks (n, blocks, positions) as samples for each row of a key."""
    return list(values.transpose(1, 0, 2)) if rows > 1 else [values.reshape(-1, values.shape[2])]


def _alike(before: Values, after: Values, generator: np.random.Generator) -> Order:
    """The order of rows and columns in which the moments `before` come next to those `after`."""
    found = quadratic_assignment(
        after,
        before,
        method="faq",
        options={"maximize": True, "P0": "randomized", "rng": generator},
    )
    return np.asarray(found.col_ind, np.int64)
