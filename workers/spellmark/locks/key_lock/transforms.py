"""The keyed transform of an image batch, the same at training and at inference."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spellmark.errors import SpellmarkError
from spellmark.secrets import KeyFile, permutation, subkey

SHUFFLE = "key-lock/shuffle/v1"

Images = npt.NDArray[np.uint8]


class KeyLockError(SpellmarkError):
    """Parameters or images that a key lock cannot work with."""


@dataclass(frozen=True)
class Geometry:
    """The size of the images and of the blocks into which they are cut, in pixels."""

    channels: int
    height: int
    width: int
    block: int

    def __post_init__(self) -> None:
        if self.block < 2:
            raise KeyLockError(
                f"A block of {self.block} pixels cannot be shuffled.", hint="Use 2 or more."
            )
        if self.height % self.block or self.width % self.block:
            raise KeyLockError(
                f"Images of {self.height}×{self.width} pixels do not divide into blocks of "
                f"{self.block}.",
                hint=f"Choose a block that divides both: {self._divisors()}.",
            )

    def _divisors(self) -> str:
        smaller = min(self.height, self.width)
        common = [m for m in range(2, smaller + 1) if not (self.height % m or self.width % m)]
        return ", ".join(map(str, common)) or "there is none, so resize the images first"

    @property
    def positions(self) -> int:
        """How many values a block holds: channels × block × block."""
        return self.channels * self.block * self.block


@dataclass(frozen=True)
class Shuffle:
    """Block-wise pixel shuffling (2008.02450): one permutation, shared by all blocks.

    `index` is an int32 array of shape (channels * height * width,): the value at flat position p of
    the result is taken from flat position index[p] of the image.
    """

    geometry: Geometry
    index: npt.NDArray[np.int32]

    @classmethod
    def from_key(cls, key: bytes, geometry: Geometry) -> "Shuffle":
        """The shuffle of a 32-byte sub-key; a block is flattened by row, column and channel."""
        g, m = geometry, geometry.block
        order = np.asarray(permutation(key, g.positions))
        flat = np.arange(g.channels * g.height * g.width, dtype=np.int32)
        blocks = flat.reshape(g.channels, g.height // m, m, g.width // m, m).transpose(
            1, 3, 2, 4, 0
        )
        shape = blocks.shape
        shuffled = blocks.reshape(*shape[:2], g.positions)[..., order].reshape(shape)
        return cls(geometry, np.ascontiguousarray(shuffled.transpose(4, 0, 2, 1, 3)).reshape(-1))

    def __call__(self, images: Images) -> Images:
        """Transform a batch: uint8 of shape (n, channels, height, width), a new array back.

        Raises KeyLockError when the images have another shape or type.
        """
        g = self.geometry
        if images.dtype != np.uint8 or images.shape[1:] != (g.channels, g.height, g.width):
            raise KeyLockError(
                f"This lock works on uint8 images of shape (n, {g.channels}, {g.height}, "
                f"{g.width}), not on {images.dtype} of shape {images.shape}.",
                hint="Transform the images before they are normalised, at the lock's own size.",
            )
        return images.reshape(len(images), -1).take(self.index, axis=1).reshape(images.shape)


def from_key_file(key: KeyFile, *, binding: bytes, geometry: Geometry) -> Shuffle:
    """The transform that a key file describes for images of this size. Raises KeyLockError."""
    if key.scheme != SHUFFLE:
        raise KeyLockError(
            f"This key file is for {key.scheme}, not for a key lock.",
            hint="Choose the key file whose commitment was registered for this lock.",
        )
    if key.parameters.get("block") != geometry.block:
        raise KeyLockError(
            f"This key file is for blocks of {key.parameters.get('block')} pixels, the lock uses "
            f"{geometry.block}.",
            hint="Choose the key file whose commitment was registered for this lock.",
        )
    return Shuffle.from_key(transform_key(key.secret, binding=binding), geometry)


def transform_key(secret: bytes, *, binding: bytes) -> bytes:
    """The 32-byte sub-key of the shuffle, from the owner's secret."""
    return subkey(secret, binding=binding, scheme=SHUFFLE, purpose="transform")
