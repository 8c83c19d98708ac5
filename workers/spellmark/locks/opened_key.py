"""What a lock's opened key can do, whatever the lock."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Images = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]


class Transform(Protocol):
    """What a key does to images before the locked model sees them."""

    def __call__(self, images: Images) -> Images:
        """uint8 (n, C, H, W) in and out; padding may make them larger."""
        ...


class OpenedKey(Protocol):
    """LockKey or PromptKey."""

    @property
    def parameters(self) -> Any:
        """The lock's, with `labels` and `subkeys` among them."""
        ...

    @property
    def classes(self) -> int:
        """Of the model."""
        ...

    @property
    def transforms(self) -> Sequence[Transform]:
        """One for each sub-key."""
        ...

    @property
    def labels(self) -> Sequence[Labels]:
        """The label permutation of each sub-key, int64 (classes,)."""
        ...

    def decoy(self, secret: bytes) -> Transform:
        """The transform of a decoy: drawn from a 32-byte secret as the first sub-key's was."""
        ...

    def __call__(self, images: Images, subkey: int = 0) -> Images:
        """Images as the locked model wants them."""
        ...

    def encode(self, labels: Labels, subkey: int = 0) -> Labels:
        """The locked model's answers for images of these classes; int64, any shape."""
        ...

    def decode(self, answers: Labels, subkey: int = 0) -> Labels:
        """The classes that the locked model's answers stand for: the inverse of `encode`."""
        ...
