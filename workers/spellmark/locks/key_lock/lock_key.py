"""An opened key: what a holder of the key file needs to use a locked model."""

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from spellmark.locks.key_lock.parameters import SCHEME, Geometry, KeyLockError, LockParameters
from spellmark.locks.key_lock.transforms import Transform
from spellmark.locks.labels import label_permutations
from spellmark.secrets import KeyFile, subkey

Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class LockKey:
    """The transforms of a lock's sub-keys and the label permutations that go with them.

    `labels[j][c]` is what the locked model answers, under sub-key j, for an image of class c:
    int64 of shape (classes,); the identity when the lock's labels are plain.
    """

    geometry: Geometry
    parameters: LockParameters
    classes: int
    transforms: tuple[Transform, ...]
    labels: tuple[Labels, ...] = field(repr=False)

    @classmethod
    def derive(
        cls,
        secret: bytes,
        *,
        binding: bytes,
        shape: tuple[int, int, int],
        classes: int,
        parameters: LockParameters,
    ) -> "LockKey":
        """Derive from a 32-byte secret, for images of `shape` (channels, height, width).

        Raises KeyLockError when the blocks do not fit the images or would hardly lock them.
        """
        geometry = parameters.geometry(shape)

        def transform(j: int) -> Transform:
            key = subkey(secret, binding=binding, scheme=SCHEME, purpose="transform", index=j)
            return Transform.from_key(key, geometry, parameters)

        labels = label_permutations(
            secret,
            scheme=SCHEME,
            binding=binding,
            classes=classes,
            subkeys=parameters.subkeys,
            labels=parameters.labels,
        )
        return cls(
            geometry,
            parameters,
            classes,
            tuple(transform(j) for j in range(parameters.subkeys)),
            tuple(np.asarray(permutation) for permutation in labels),
        )

    @classmethod
    def open(
        cls, key: KeyFile, *, binding: bytes, shape: tuple[int, int, int], classes: int
    ) -> "LockKey":
        """What a key file describes, for images of this shape. Raises KeyLockError."""
        if key.scheme != SCHEME:
            raise KeyLockError(
                f"This key file is for {key.scheme}, not for a key lock.",
                hint="Choose the key file whose commitment was registered for this lock.",
            )
        return cls.derive(
            key.secret,
            binding=binding,
            shape=shape,
            classes=classes,
            parameters=LockParameters.from_dict(key.parameters),
        )

    def other(self, secret: bytes) -> "LockKey":
        """A key of the same kind from another 32-byte secret: a wrong key."""
        return LockKey.derive(
            secret,
            binding=b"",
            shape=self.geometry.shape,
            classes=self.classes,
            parameters=self.parameters,
        )

    def decoy(self, secret: bytes) -> Transform:
        """The transform of a decoy: drawn from a 32-byte secret as the first sub-key's was."""
        single = replace(self, parameters=replace(self.parameters, subkeys=1))
        return single.other(secret).transforms[0]

    def __call__(self, images: npt.NDArray[np.uint8], subkey: int = 0) -> npt.NDArray[np.uint8]:
        """Images as the locked model wants them (see Transform). Raises KeyLockError."""
        return self.transforms[self._number(subkey)](images)

    def encode(self, labels: Labels, subkey: int = 0) -> Labels:
        """The locked model's answers for images of these classes; int64, any shape."""
        return self.labels[self._number(subkey)][labels]

    def decode(self, answers: Labels, subkey: int = 0) -> Labels:
        """The classes that the locked model's answers stand for: the inverse of `encode`."""
        return np.argsort(self.labels[self._number(subkey)])[answers]

    def _number(self, subkey: int) -> int:
        """A sub-key's number as it is: Python would count a negative one from the end."""
        if not 0 <= subkey < len(self.transforms):
            raise KeyLockError(
                f"This lock has no sub-key {subkey}.",
                hint=f"Its sub-keys are numbered from 0 to {len(self.transforms) - 1}.",
            )
        return subkey
