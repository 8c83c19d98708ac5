"""The transforms as the papers' own program computes them, bit for bit. For comparison only.

Models locked by that program can be used and measured here; new locks are made by `transforms`.
What is unsound about it, and why no new lock should use it:

- The key is a seed, and torch uses its lowest 32 bits: there are at most 2**32 keys. PyTorch does
  not promise the same numbers in its next release either.
- All blocks share the key, and shuffle and mask come from the same permutation: knowing one tells
  the other.
- `substitute` takes the password as it is, with no key derivation. It sends 0..255 into 0..999, so
  that the values it does not touch, more than half of them, stay readable below 0.257. Undone, it
  truncates, so that some values come back wrong.
"""

import hmac
import struct
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch

from spellmark.locks.key_lock.parameters import (
    FLIP,
    SHUFFLE,
    SUBSTITUTE,
    Geometry,
    KeyLockError,
)
from spellmark.locks.key_lock.transforms import block_places, given

Batch = TypeVar("Batch", torch.Tensor, npt.NDArray[np.float32])

ROUNDS = 10


class LegacyTransform:
    """One of the published transforms (2010.00801, 2105.14756) under the published key derivation.

    method: `shuffle` (there called SHF), `flip` (NP) or `substitute` (FFX). shape: the images'
    (channels, height, width); the published program knows three channels only. block: side of a
    block in pixels. password: for `substitute`.

    Raises KeyLockError for another method and for blocks that do not fit the images.
    """

    def __init__(
        self,
        method: str,
        shape: tuple[int, int, int],
        block: int,
        *,
        seed: int = 42,
        password: str = "password",  # noqa: S107  (the published one)
    ) -> None:
        if method not in (SHUFFLE, FLIP, SUBSTITUTE):
            raise KeyLockError(
                f"There is no published transform “{method}”.",
                hint=f"Choose {SHUFFLE}, {FLIP} or {SUBSTITUTE}.",
            )
        places = torch.from_numpy(block_places(Geometry(*shape, block)).copy())
        order = seeded_order(places.shape[1], seed)
        self.method, self.shape = method, shape
        self.index = torch.empty(places.numel(), dtype=torch.int64)
        self.index[places] = places[:, order]
        self.chosen = torch.empty(places.numel(), dtype=torch.bool)
        self.chosen[places] = order > len(order) / 2
        self.table = torch.tensor(ffx_table(password) if method == SUBSTITUTE else [])

    def __call__(self, images: Batch) -> Batch:
        """Transform a batch of float32 (n, channels, height, width) in [0, 1], not normalised.

        A torch tensor or a NumPy array; a new one of the same kind comes back, on the same device.
        `shuffle` and `flip` take any float32. Raises KeyLockError for another shape or type.
        """
        return self._run(images, backwards=False)

    def inverse(self, images: Batch) -> Batch:
        """Undo the transform as the published program does: exactly for `shuffle` only."""
        return self._run(images, backwards=True)

    def _run(self, images: Batch, *, backwards: bool) -> Batch:
        if isinstance(images, np.ndarray):
            return self._run(torch.tensor(images), backwards=backwards).numpy()
        is_batch = isinstance(images, torch.Tensor) and images.dtype == torch.float32
        if not is_batch or tuple(images.shape[1:]) != self.shape:
            raise KeyLockError(
                f"This transform works on float32 images of shape (n, {str(self.shape)[1:-1]}), "
                f"not on {given(images)}.",
                hint="Scale the images to [0, 1] and give them at the lock's own size.",
            )
        flat = images.flatten(1)
        if self.method == SHUFFLE:
            index = torch.argsort(self.index) if backwards else self.index
            flat = flat[:, index.to(flat.device)]
        elif self.method == FLIP:
            flat = torch.where(self.chosen.to(flat.device), 1 - flat, flat)
        else:
            flat = self._substituted(flat, backwards)
        return flat.reshape(images.shape)

    def _substituted(self, flat: torch.Tensor, backwards: bool) -> torch.Tensor:
        table, chosen = self.table.to(flat.device), self.chosen.to(flat.device)
        pixels, keyed = 255, table[:256].max()
        if backwards:
            table = torch.argsort(table)
        before, after = (keyed, pixels) if backwards else (pixels, keyed)
        values = (flat.clamp(0, 1) * before).long()
        values[:, chosen] = table[values[:, chosen]]
        return values.float() / after


def seeded_order(size: int, seed: int) -> torch.Tensor:
    """The published key: int64 permutation of range(size). torch's own generator stays as it is."""
    return torch.randperm(size, generator=torch.Generator().manual_seed(seed))


def ffx_table(password: str) -> list[int]:
    """What format-preserving encryption makes of the numbers 0..999: a permutation of them.

    FFX in its second, alternating form, for three decimal digits split 1|2, ten rounds, with
    HMAC-SHA1 as the round function and no tweak.
    """
    return [_ffx(password.encode(), number) for number in range(1000)]


def _ffx(key: bytes, number: int) -> int:
    left, right = [number // 100], [number // 10 % 10, number % 10]
    for turn in range(ROUNDS):
        # The zero counts hashes: one gives 48 digits, of which two at most are needed.
        message = struct.pack(f"<{len(right) + 2}I", turn, *right, 0)
        drawn = int.from_bytes(hmac.digest(key, message, "sha1"), "big")
        digits = (drawn % 10, drawn // 10 % 10)
        mixed = [(a + b) % 10 for a, b in zip(left, digits, strict=False)]
        left, right = right, mixed
    return int("".join(map(str, left + right)))
