"""Learning a bypass: a small map before the locked model that does the key's work.

Source: the parametric bypass approximation of LINAC (Rusu et al., ICML 2022).
"""

import numpy as np
import torch
from torch import nn

from spellmark.attacks.attack import AttackResult, Attempt, Progress
from spellmark.attacks.front import Front, FrontedModel, PixelMap
from spellmark.attacks.key_lock.in_blocks import InBlocks
from spellmark.attacks.key_lock.key_target import KeyTarget
from spellmark.locks.key_lock.parameters import Geometry
from spellmark.training.datasets import Split

# Beyond this many weights a map per block learns a change of low rank.
MOST_WEIGHTS, RANK = 2_000_000, 8


class BlockMap(InBlocks):
    """A linear map with bias from a block's values to a block's values, one or one per block.

    It begins as the identity and learns what to add: a full matrix or one of low rank.
    """

    def __init__(
        self, geometry: Geometry, *, per_block: bool, generator: np.random.Generator
    ) -> None:
        super().__init__(geometry)
        rows, size = geometry.blocks if per_block else 1, geometry.positions
        full = rows * size * size <= MOST_WEIGHTS
        inner = generator.normal(0, size**-0.5, (rows, size, RANK)).astype(np.float32)
        self.inner = None if full else nn.Parameter(torch.from_numpy(inner))
        self.change = nn.Parameter(torch.zeros(rows, size if full else RANK, size))
        self.bias = nn.Parameter(torch.zeros(rows, size))

    def in_blocks(self, values: torch.Tensor) -> torch.Tensor:
        """values + values · inner · change + bias."""
        blocks = values.transpose(0, 1)
        narrow = blocks if self.inner is None else blocks @ self.inner
        return values + (narrow @ self.change).transpose(0, 1) + self.bias


def block_bypass(
    target: KeyTarget,
    attacker: Split,
    test: Split,
    *,
    generator: np.random.Generator,
    steps: int = 1_000,
    progress: Progress | None = None,
) -> AttackResult:
    """Learn a linear map of a block's values; one per block where the lock has keys per block."""
    per_block = target.parameters.keys == "block"
    front = BlockMap(target.geometry, per_block=per_block, generator=generator)
    return _bypass("bypass-block", front, target, attacker, test, generator, steps, progress)


def pixel_bypass(
    target: KeyTarget,
    attacker: Split,
    test: Split,
    *,
    generator: np.random.Generator,
    steps: int = 1_000,
    progress: Progress | None = None,
) -> AttackResult:
    """Learn a scale and a bias for every value of the image."""
    front = PixelMap(target.geometry.keyed_shape)
    return _bypass("bypass-pixel", front, target, attacker, test, generator, steps, progress)


def _bypass(
    name: str,
    front: Front,
    target: KeyTarget,
    attacker: Split,
    test: Split,
    generator: np.random.Generator,
    steps: int,
    progress: Progress | None,
) -> AttackResult:
    attempt, fronted = Attempt(name, target, attacker), FrontedModel(target, front)
    fronted.learn(attacker, generator=generator, steps=steps, learning_rate=0.01, progress=progress)
    weights = sum(part.numel() for part in front.parameters())
    return attempt.result(fronted.answers, test, steps, weights=weights)
