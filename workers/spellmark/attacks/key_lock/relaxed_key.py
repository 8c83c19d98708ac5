"""A key found by gradient: permutations relaxed to doubly stochastic matrices, then hardened.

Source of the relaxation: Gumbel–Sinkhorn networks (1802.08665), here without the noise.
"""

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from spellmark.attacks.attack import AttackResult, Attempt, Progress, assignment
from spellmark.attacks.front import FrontedModel, sinkhorn
from spellmark.attacks.key_lock.in_blocks import InBlocks
from spellmark.attacks.key_lock.key_guess import KeyGuess
from spellmark.attacks.key_lock.key_target import KeyTarget
from spellmark.attacks.key_lock.search_key import BATCH, Found, climb, found_result, likelihood_of
from spellmark.locks.key_lock.parameters import FLIP, SCRAMBLE, SHUFFLE, SUBSTITUTE
from spellmark.locks.key_lock.transforms import table_numbers
from spellmark.training.datasets import Split

KNOTS = 16
# Cool enough that permutations begin nearly hard: from the uniform one no gradient leads away.
HEAT = 0.3


def relaxed_key(
    target: KeyTarget,
    attacker: Split,
    test: Split,
    *,
    generator: np.random.Generator,
    steps: int = 500,
    starts: int = 3,
    swaps: int = 0,
    progress: Progress | None = None,
) -> AttackResult:
    """Learn a relaxed key through the frozen model, harden it and keep the best of some starts.

    With `swaps` a hill climb of so many guesses goes on from the hardened key.
    """
    attempt = Attempt("relaxed-key-swaps" if swaps else "relaxed-key", target, attacker)
    batch = attacker[:BATCH]
    objective = likelihood_of(target, batch.labels)
    best, total = None, starts * steps + swaps
    for start in range(starts):
        relaxed = RelaxedKey(target, generator)
        model = FrontedModel(target, relaxed)
        report = _part(progress, start * steps / total, steps / total)
        model.learn(attacker, generator=generator, steps=steps, learning_rate=0.1, progress=report)
        guess = relaxed.hardened()
        score = objective(guess.transform()(batch.images))
        if best is None or score > best.score:
            best = Found(guess, score, starts * (steps + 1))
    if best is None:
        raise ValueError("A relaxed key needs at least one start.")
    if swaps:
        report = _part(progress, 1 - swaps / total, swaps / total)
        climbed = climb(
            target,
            batch.images,
            objective,
            generator=generator,
            budget=swaps,
            start=best.guess,
            restarts=False,
            progress=report,
        )
        best = replace(climbed, evaluations=best.evaluations + climbed.evaluations)
    return found_result(attempt, best, test)


class RelaxedKey(InBlocks):
    """A guess whose permutations are doubly stochastic, whose choices lie between no and yes.

    A table is a line through 16 free knots.
    """

    numbers: torch.Tensor

    def __init__(self, target: KeyTarget, generator: np.random.Generator) -> None:
        super().__init__(target.geometry)
        self.guess = KeyGuess.identity(target.geometry, target.parameters)
        numbers = table_numbers(target.geometry, target.parameters)
        self.register_buffer("numbers", torch.from_numpy(numbers))
        has, (rows, size) = target.parameters.has, self.guess.order.shape
        blocks = target.geometry.blocks if has(SCRAMBLE) else 0
        self.blocks = _random(generator, blocks, blocks)
        self.order = _random(generator, rows if has(SHUFFLE) else 0, size, size)
        self.flipped = _random(generator, rows, size)
        self.substituted = _random(generator, rows, size)
        self.knots = nn.Parameter(torch.linspace(0, 1, KNOTS).repeat(len(self.guess.tables), 1))

    def in_blocks(self, values: torch.Tensor) -> torch.Tensor:
        """The lock's steps, each in its relaxed form."""
        has = self.guess.parameters.has
        if has(SCRAMBLE):
            values = torch.einsum("bc,ncp->nbp", sinkhorn(self.blocks / HEAT), values)
        if has(SHUFFLE):
            order = sinkhorn(self.order / HEAT).transpose(1, 2)
            values = (values.transpose(0, 1) @ order).transpose(0, 1)
        if has(FLIP):
            values = values.lerp(1 - values, (self.flipped / HEAT).sigmoid())
        if has(SUBSTITUTE):
            values = values.lerp(self._looked_up(values), (self.substituted / HEAT).sigmoid())
        return values

    def _looked_up(self, values: torch.Tensor) -> torch.Tensor:
        place = values.clamp(0, 1) * (KNOTS - 1)
        below = place.detach().floor().clamp(max=KNOTS - 2).long()
        numbers = self.numbers.expand_as(below)
        low, high = self.knots[numbers, below], self.knots[numbers, below + 1]
        return low.lerp(high, place - below)

    def hardened(self) -> KeyGuess:
        """The guess nearest by: permutations by linear assignment, choices by their half."""
        has, plain = self.guess.parameters.has, self.guess
        order = [assignment(row) for row in _numbers(sinkhorn(self.order / HEAT))]
        knots = _numbers(self.knots.clamp(0, 1))
        where = np.linspace(0, KNOTS - 1, 256)
        tables = [np.rint(255 * np.interp(where, range(KNOTS), line)) for line in knots]
        return replace(
            plain,
            blocks=assignment(_numbers(sinkhorn(self.blocks / HEAT)))
            if has(SCRAMBLE)
            else plain.blocks,
            order=np.asarray(order) if has(SHUFFLE) else plain.order,
            flipped=_numbers(self.flipped) > 0 if has(FLIP) else plain.flipped,
            substituted=_numbers(self.substituted) > 0 if has(SUBSTITUTE) else plain.substituted,
            tables=np.asarray(tables, np.uint8).reshape(-1, 256),
        )


def _random(generator: np.random.Generator, *shape: int) -> nn.Parameter:
    return nn.Parameter(torch.from_numpy(generator.normal(0, 1, shape).astype(np.float32)))


def _numbers(tensor: torch.Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return tensor.detach().cpu().double().numpy()


def _part(progress: Progress | None, start: float, share: float) -> Progress | None:
    if progress is None:
        return None
    return lambda done, text: progress(start + share * done, text)
