"""A thief's guess of a key, step by step as the lock draws it."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from spellmark.locks.key_lock.parameters import (
    FLIP,
    SCRAMBLE,
    SHUFFLE,
    SUBSTITUTE,
    Geometry,
    LockParameters,
)
from spellmark.locks.key_lock.transforms import (
    Chosen,
    Order,
    Transform,
    block_places,
    table_numbers,
)


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
        touched = parameters.touched(geometry)

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
        source = None
        if self.parameters.has(SCRAMBLE) or self.parameters.has(SHUFFLE):
            order = np.broadcast_to(self.order, shape)
            source = np.take_along_axis(places[self.blocks], order, axis=1)
        flipped = np.broadcast_to(self.flipped, shape) if self.flipped.any() else None
        if not self.substituted.any():
            return Transform.compose(self.geometry, source, flipped)
        numbers = 1 + table_numbers(self.geometry, self.parameters)
        return Transform.compose(
            self.geometry,
            source,
            flipped,
            np.broadcast_to(np.where(self.substituted, numbers, 0), shape),
            np.concatenate([np.arange(256, dtype=np.uint8)[None], self.tables]),
        )
