"""The keyed transform of an image batch, the same at training and at inference."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeVar

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
Chosen = npt.NDArray[np.bool_]
# Permutations of range(size) for a purpose: one for each of the numbered rows, (rows, size).
Orders = Callable[[str, Sequence[int], int], Order]
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

        def orders(purpose: str, rows: Sequence[int], size: int) -> Order:
            step = subkey(key, binding=b"", scheme=SCHEME, purpose=purpose)
            return np.asarray([permutation(step, size, row=row) for row in rows])

        return _drawn(orders, geometry, parameters)

    @classmethod
    def random(
        cls, generator: np.random.Generator, geometry: Geometry, parameters: LockParameters
    ) -> "Transform":
        """A transform that is no secret, distributed as those of keys and drawn much faster."""

        def orders(_purpose: str, rows: Sequence[int], size: int) -> Order:
            return generator.permuted(np.tile(np.arange(size), (len(rows), 1)), axis=1)

        return _drawn(orders, geometry, parameters)

    @classmethod
    def compose(
        cls,
        geometry: Geometry,
        source: Order | None,
        flipped: Chosen | None = None,
        numbers: Order | None = None,
        tables: Images = NO_TABLES,
    ) -> "Transform":
        """A transform from its steps, all of them given block by block as (blocks, positions).

        source: the flat position in the padded image that comes to each place; None where no step
        moves values. Which parts there are follows from the steps alone, never from what was drawn:
        two keys of one lock give the same graph, even if one moves nothing.
        flipped: which values are inverted then. numbers: whose of the tables, uint8 (any number,
        256), looks each value up at last.
        """
        places = block_places(geometry)
        index = mask = which = None
        if source is not None or geometry.keyed_shape != geometry.shape:
            moved = places if source is None else source
            index = _from_image(geometry, _laid_out(places, moved))
        if flipped is not None:
            mask = _laid_out(places, flipped * np.uint8(255))
        if numbers is not None:
            which = kernels.smallest_unsigned(_laid_out(places, numbers), len(tables))
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
        back = np.arange(math.prod(self.geometry.shape))
        if self.index is not None:
            # Padding copies some values: any of the copies will do.
            back[self.index] = np.arange(len(self.index))
        mask = None if self.mask is None else self.mask[back]
        index = kernels.smallest_unsigned(back, plain.shape[1])
        plain = kernels.apply(plain, index, mask, None, NO_TABLES)
        return plain.reshape(len(images), *self.geometry.shape)


@lru_cache(maxsize=32)
def block_places(geometry: Geometry) -> Order:
    """Flat positions of every block's values: (blocks, positions), by row, column, channel.

    This is the published order (channel fastest); blocks count from left to right, then down.
    """
    g, m = geometry, geometry.block
    flat = np.arange(np.prod(g.keyed_shape)).reshape(g.channels, g.rows, m, g.columns, m)
    places = np.ascontiguousarray(flat.transpose(1, 3, 2, 4, 0)).reshape(g.blocks, g.positions)
    places.flags.writeable = False  # one array serves all
    return places


def table_numbers(geometry: Geometry, parameters: LockParameters) -> Order:
    """Which table each value of a block would use, from 0: int64 (rows, positions).

    Rows are the blocks if each has a key of its own, else one.
    """
    rows = geometry.blocks if parameters.keys == "block" else 1
    own = np.arange(rows * geometry.positions).reshape(rows, -1)
    if parameters.tables == "shared":
        return np.zeros_like(own)
    return own % geometry.channels if parameters.tables == "channel" else own


def _drawn(orders: Orders, geometry: Geometry, parameters: LockParameters) -> Transform:
    """Draw what the steps need; blocks share it, or each has its own row."""
    places = block_places(geometry)
    rows = range(geometry.blocks if parameters.keys == "block" else 1)
    touched = parameters.touched(geometry)

    def per_block(purpose: str) -> Order:
        drawn = orders(purpose, rows, geometry.positions)
        return np.broadcast_to(drawn, places.shape)

    source: Order | None = None
    flipped, numbers, tables = None, None, NO_TABLES
    if parameters.has(SCRAMBLE):
        source = places[orders(SCRAMBLE, range(1), geometry.blocks)[0]]
    if parameters.has(SHUFFLE):
        source = np.take_along_axis(
            places if source is None else source, per_block(SHUFFLE), axis=1
        )
    if parameters.has(FLIP):
        flipped = per_block(f"{FLIP} mask") < touched
    if parameters.has(SUBSTITUTE):
        chosen = per_block(f"{SUBSTITUTE} mask") < touched
        # Table 0 is the identity; of the others only those in use are drawn.
        wanted = np.where(chosen, 1 + table_numbers(geometry, parameters), 0)
        used, numbers = np.unique(wanted, return_inverse=True)
        numbers = numbers.reshape(places.shape)
        tables = np.tile(np.arange(256, dtype=np.uint8), (len(used), 1))
        tables[used > 0] = orders(SUBSTITUTE, used[used > 0].tolist(), 256)
    return Transform.compose(geometry, source, flipped, numbers, tables)


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
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.shape[1:] != shape:
        raise wrong_images(images, shape)
    return np.ascontiguousarray(images).reshape(len(images), math.prod(shape))


def wrong_images(images: Any, shape: tuple[int, int, int]) -> KeyLockError:
    """What to raise for anything but a batch, of NumPy or of torch, of uint8 (n, *shape)."""
    wanted = ", ".join(map(str, shape))
    return KeyLockError(
        f"This lock works on uint8 images of shape (n, {wanted}), not on {given(images)}.",
        hint="Transform the images before they are normalised, at the lock's own size.",
    )


def given(images: Any) -> str:
    """What somebody gave for images, in words."""
    if hasattr(images, "dtype") and hasattr(images, "shape"):
        return f"{images.dtype} of shape {tuple(images.shape)}"
    return f"a {type(images).__name__}"
