"""The keyed transform of an image batch, the same at training and at inference."""

import math
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from spellmark.locks.key_lock import kernels
from spellmark.locks.key_lock.kernels import Whole
from spellmark.locks.key_lock.parameters import (
    FLIP,
    SCHEME,
    SCRAMBLE,
    SHUFFLE,
    SUBSTITUTE,
    Geometry,
    KeyLockError,
    LockParameters,
)
from spellmark.secrets import permutation, subkey

Images = npt.NDArray[np.uint8]
Order = npt.NDArray[np.int64]
Kind = TypeVar("Kind", bound=np.generic)

NO_TABLES = np.empty((0, 256), np.uint8)


@dataclass(frozen=True)
class Transform:
    """A block-wise keyed transform (2008.02450, 2103.03525, 2105.14756), composed to one pass.

    Positions are flat in (channel, row, column) order. The value at position p of the result is
    `tables[which[p], image[index[p]] ^ mask[p]]`; what is None is left out. `index` and `which` are
    unsigned, `mask` and `tables` (any number, 256) uint8.
    """

    geometry: Geometry
    # Whoever has these has the key, so they are never printed.
    index: Whole | None = field(repr=False)
    mask: Images | None = field(repr=False)
    which: Whole | None = field(repr=False)
    tables: Images = field(repr=False)

    @classmethod
    def from_key(cls, key: bytes, geometry: Geometry, parameters: LockParameters) -> "Transform":
        """The transform of a 32-byte sub-key; each step draws from a sub-key of its own."""
        draw = _Draw(key, geometry, parameters)
        places = block_places(geometry)
        source = places
        if parameters.has(SCRAMBLE):
            source = source[draw.order(SCRAMBLE, 1, geometry.blocks)[0]]
        if parameters.has(SHUFFLE):
            source = np.take_along_axis(source, draw.per_block(SHUFFLE), axis=1)
        mask = which = None
        tables = NO_TABLES
        if parameters.has(FLIP):
            mask = _laid_out(places, draw.chosen(FLIP) * np.uint8(255))
        if parameters.has(SUBSTITUTE):
            tables, numbers = draw.substitution()
            which = kernels.smallest_unsigned(_laid_out(places, numbers), len(tables))
        index = None
        if source is not places or geometry.keyed_shape != geometry.shape:
            index = _from_image(geometry, _laid_out(places, source))
        return cls(geometry, index, mask, which, tables)

    def __call__(self, images: Images) -> Images:
        """Transform a batch: uint8 (n, channels, height, width), a new array back.

        With padding the result is larger (`geometry.keyed_shape`). Raises KeyLockError when the
        images have another shape or type.
        """
        flat = _flat(images, self.geometry.shape)
        keyed = kernels.apply(flat, self.index, self.mask, self.which, self.tables)
        return keyed.reshape(len(images), *self.geometry.keyed_shape)

    def inverse(self, images: Images) -> Images:
        """Undo the transform: the images exactly as they were. Raises KeyLockError."""
        plain = _flat(images, self.geometry.keyed_shape)
        if self.which is not None:
            backwards = np.argsort(self.tables, axis=1).astype(np.uint8)
            plain = kernels.apply(plain, None, None, self.which, backwards)
        if self.mask is not None:
            plain = plain ^ self.mask
        if self.index is not None:
            # Padding copies some values: any of the copies will do.
            back = np.empty(np.prod(self.geometry.shape), np.int64)
            back[self.index] = np.arange(len(self.index))
            plain = plain[:, back]
        return plain.reshape(len(images), *self.geometry.shape)


def block_places(geometry: Geometry) -> Order:
    """Flat positions of every block's values: (blocks, positions), by row, column, channel.

    This is the published order (channel fastest); blocks count from left to right, then down.
    """
    g, m = geometry, geometry.block
    flat = np.arange(np.prod(g.keyed_shape)).reshape(g.channels, g.rows, m, g.columns, m)
    return np.ascontiguousarray(flat.transpose(1, 3, 2, 4, 0)).reshape(g.blocks, g.positions)


@dataclass(frozen=True)
class _Draw:
    """Draws what the steps need; `keys` says whether blocks share it or have their own."""

    key: bytes
    geometry: Geometry
    parameters: LockParameters

    def order(self, purpose: str, count: int, size: int) -> Order:
        """Permutations of range(size): (count, size)."""
        key = subkey(self.key, binding=b"", scheme=SCHEME, purpose=purpose)
        return np.asarray([permutation(key, size, row=row) for row in range(count)])

    def per_block(self, purpose: str) -> Order:
        """A permutation of a block's positions for each block: (blocks, positions)."""
        own = self.parameters.keys == "block"
        orders = self.order(purpose, self.geometry.blocks if own else 1, self.geometry.positions)
        return np.broadcast_to(orders, (self.geometry.blocks, self.geometry.positions))

    def chosen(self, step: str) -> npt.NDArray[np.bool_]:
        """Which positions a step touches: exactly the masked share of every block."""
        count = max(1, self.geometry.positions * self.parameters.masked // 100)
        return self.per_block(f"{step} mask") < count

    def substitution(self) -> tuple[Images, Order]:
        """Tables (any number, 256) and each position's table number; the identity where none."""
        g, chosen = self.geometry, self.chosen(SUBSTITUTE)
        if self.parameters.tables == "shared":
            numbers = np.ones_like(chosen, np.int64)
        elif self.parameters.tables == "channel":
            numbers = np.broadcast_to(1 + np.arange(g.positions) % g.channels, chosen.shape)
        else:
            own = np.arange(chosen.size if self.parameters.keys == "block" else g.positions)
            numbers = np.broadcast_to(1 + own.reshape(-1, g.positions), chosen.shape)
        numbers = np.where(chosen, numbers, 0)
        # Tables that no position uses are not drawn; each keeps its number's keystream.
        used, numbers = np.unique(numbers, return_inverse=True)
        key = subkey(self.key, binding=b"", scheme=SCHEME, purpose=SUBSTITUTE)
        drawn = [permutation(key, 256, row=int(row)) if row else list(range(256)) for row in used]
        return np.asarray(drawn, np.uint8), numbers.reshape(chosen.shape)


def _laid_out(places: Order, values: npt.NDArray[Kind]) -> npt.NDArray[Kind]:
    """Values given block by block, put where they stand in the image."""
    flat = np.empty(places.size, values.dtype)
    flat[places] = values
    return flat


def _from_image(geometry: Geometry, index: Order) -> Whole:
    """Positions of the padded image as positions of the image, its edge repeated."""
    channel, row, column = np.unravel_index(index, geometry.keyed_shape)
    row, column = np.minimum(row, geometry.height - 1), np.minimum(column, geometry.width - 1)
    flat = np.ravel_multi_index((channel, row, column), geometry.shape)
    return kernels.smallest_unsigned(flat, int(np.prod(geometry.shape)))


def _flat(images: Images, shape: tuple[int, int, int]) -> Images:
    if images.dtype != np.uint8 or images.shape[1:] != shape:
        wanted = ", ".join(map(str, shape))
        raise KeyLockError(
            f"This lock works on uint8 images of shape (n, {wanted}), not on {images.dtype} of "
            f"shape {images.shape}.",
            hint="Transform the images before they are normalised, at the lock's own size.",
        )
    return np.ascontiguousarray(images).reshape(len(images), math.prod(shape))
