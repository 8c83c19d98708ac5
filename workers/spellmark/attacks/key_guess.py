"""A thief's guess of a key, step by step as the lock draws it."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from spellmark.locks.key_lock.kernels import smallest_unsigned
from spellmark.locks.key_lock.parameters import (
    FLIP,
    SCRAMBLE,
    SHUFFLE,
    SUBSTITUTE,
    Geometry,
    LockParameters,
)
from spellmark.locks.key_lock.transforms import NO_TABLES, Transform, block_places

Order = npt.NDArray[np.int64]
Chosen = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class KeyGuess:
    """Any transform of the lock's kind. Rows are the blocks if each has a key of its own, else one.

    blocks: the block that comes to each place, (blocks,). order: the position that comes to each,
    (rows, positions). flipped, substituted: the values touched, bool (rows, positions). tables:
    uint8 (any number, 256); `table_numbers` says whose is whose. A thief's tables need not be
    permutations.
    """

    geometry: Geometry
    parameters: LockParameters
    blocks: Order
    order: Order
    flipped: Chosen
    substituted: Chosen
    tables: npt.NDArray[np.uint8]

    @classmethod
    def identity(cls, geometry: Geometry, parameters: LockParameters) -> "KeyGuess":
        """The guess that leaves images as they are (but for the lock's padding)."""
        rows = geometry.blocks if parameters.keys == "block" else 1
        shape = rows, geometry.positions
        count = table_numbers(geometry, parameters).max() + 1 if parameters.has(SUBSTITUTE) else 0
        return cls(
            geometry,
            parameters,
            np.arange(geometry.blocks),
            np.tile(np.arange(geometry.positions), (rows, 1)),
            np.zeros(shape, bool),
            np.zeros(shape, bool),
            np.tile(np.arange(256, dtype=np.uint8), (count, 1)),
        )

    @classmethod
    def random(
        cls, geometry: Geometry, parameters: LockParameters, generator: np.random.Generator
    ) -> "KeyGuess":
        """A guess distributed as the lock's own keys."""
        plain = cls.identity(geometry, parameters)
        touched = max(1, geometry.positions * parameters.masked // 100)

        def some() -> Chosen:
            return generator.permuted(plain.order, axis=1) < touched

        return replace(
            plain,
            blocks=generator.permutation(plain.blocks)
            if parameters.has(SCRAMBLE)
            else plain.blocks,
            order=generator.permuted(plain.order, axis=1)
            if parameters.has(SHUFFLE)
            else plain.order,
            flipped=some() if parameters.has(FLIP) else plain.flipped,
            substituted=some() if parameters.has(SUBSTITUTE) else plain.substituted,
            tables=generator.permuted(plain.tables, axis=1),
        )

    def transform(self) -> Transform:
        """The guess as the lock's own kind of transform."""
        places = block_places(self.geometry)
        shape = places.shape
        source = np.take_along_axis(places[self.blocks], np.broadcast_to(self.order, shape), axis=1)
        g = self.geometry
        _, height, width = g.keyed_shape
        padded = np.pad(
            np.arange(np.prod(g.shape)).reshape(g.shape),
            ((0, 0), (0, height - g.height), (0, width - g.width)),
            mode="edge",
        ).ravel()
        index = smallest_unsigned(padded[_laid_out(places, source)], int(np.prod(g.shape)))
        mask = which = None
        tables = NO_TABLES
        if self.flipped.any():
            mask = _laid_out(places, np.broadcast_to(self.flipped, shape) * np.uint8(255))
        if self.substituted.any():
            tables = np.concatenate([np.arange(256, dtype=np.uint8)[None], self.tables])
            numbers = np.where(self.substituted, 1 + table_numbers(g, self.parameters), 0)
            numbers = _laid_out(places, np.broadcast_to(numbers, shape))
            which = smallest_unsigned(numbers, len(tables))
        return Transform(g, index, mask, which, tables)


def table_numbers(geometry: Geometry, parameters: LockParameters) -> Order:
    """Which table each value would use, (rows, positions): shared, its channel's or its own."""
    rows = geometry.blocks if parameters.keys == "block" else 1
    own = np.arange(rows * geometry.positions).reshape(rows, -1)
    if parameters.tables == "shared":
        return np.zeros_like(own)
    return own % geometry.channels if parameters.tables == "channel" else own


def _laid_out(places: Order, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    flat = np.empty(places.size, values.dtype)
    flat[places] = values
    return flat
