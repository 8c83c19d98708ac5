"""Images that a locked model must not recognise: what makes it a lock."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spellmark.locks.key_lock.lock_key import LockKey
from spellmark.locks.key_lock.transforms import Transform, block_places
from spellmark.training.datasets import Split

Images = npt.NDArray[np.uint8]

KEYS_A_BATCH = 8
# Of the near keys' other values, how many are under a wrong key; the rest are plain.
FROM_WRONG_KEYS = 0.7


@dataclass(frozen=True)
class Negatives:
    """How many negatives a batch gets, and of which kinds.

    share: negatives for each keyed image, 0 (the published recipe) or more. More of them bring
    wrong keys closer to guessing, and cost accuracy and time.
    near: the share of them that are near keys: values partly under the right key, partly under a
    wrong one or plain, as a thief sees them who searches for the key step by step. The rest is one
    half plain images, one half images under wrong keys.
    nearest: the largest share of a block's values that a near key has right, in [0, 1].
    """

    share: float = 0.5
    near: float = 0.25
    nearest: float = 0.5

    def draw(self, count: int, data: Split, key: LockKey, generator: np.random.Generator) -> Images:
        """Negatives for a batch of `count` keyed images: uint8 (n, *keyed shape)."""
        total = round(count * self.share)
        images = data.images[generator.integers(len(data), size=total)]
        result = _padded(images, key)
        plain = round(total * (1 - self.near) / 2)
        wrong = total - plain - round(total * self.near)
        for part in _parts(plain, plain + wrong):
            result[part] = _wrong(key, generator)(images[part])
        for part in _parts(plain + wrong, total):
            chosen = int(generator.integers(len(key.transforms)))
            if generator.random() < FROM_WRONG_KEYS:
                result[part] = _wrong(key, generator)(images[part])
            right = self._right(key, generator)
            result[part] = np.where(right, key(images[part], chosen), result[part])
        return result

    def _right(self, key: LockKey, generator: np.random.Generator) -> npt.NDArray[np.bool_]:
        """Which values of an image a near key has right: bool (*keyed shape)."""
        g = key.geometry
        own = key.parameters.keys == "block"
        drawn = generator.random((g.blocks if own else 1, g.positions))
        flat = np.empty(g.blocks * g.positions, np.bool_)
        flat[block_places(g)] = drawn < generator.random() * self.nearest
        return flat.reshape(g.keyed_shape)


def _wrong(key: LockKey, generator: np.random.Generator) -> Transform:
    return Transform.random(generator, key.geometry, key.parameters)


def _padded(images: Images, key: LockKey) -> Images:
    _, height, width = key.geometry.keyed_shape
    more = ((0, 0), (0, 0), (0, height - images.shape[2]), (0, width - images.shape[3]))
    return np.pad(images, more, "edge")


def _parts(start: int, end: int) -> list[npt.NDArray[np.intp]]:
    parts = np.array_split(np.arange(start, end), KEYS_A_BATCH)
    return [part for part in parts if len(part)]
