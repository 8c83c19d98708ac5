"""The queries of a random-key test of a key lock: probe images under the true key and decoys."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spellmark.errors import SpellmarkError
from spellmark.locks.key_lock.transforms import Geometry, Shuffle
from spellmark.secrets import permutation, subkey, uniform

SCHEME = "random-key-test/v1"


class ProbesError(SpellmarkError):
    """More probes than the data has."""


@dataclass(frozen=True)
class Slots:
    """The true key hidden among decoys: `transforms[true]` is the owner's."""

    transforms: tuple[Shuffle, ...]
    true: int

    def images(self, probe: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """One probe (C, H, W) under every key: (decoys + 1, C, H, W), in the order of the slots."""
        indices = np.stack([transform.index for transform in self.transforms])
        return probe.reshape(-1)[indices].reshape(-1, *probe.shape)


def true_slot(seed: bytes, decoys: int) -> int:
    """The slot of the true key, uniform in range(decoys + 1), from the run's 32-byte seed."""
    key = subkey(seed, binding=b"", scheme=SCHEME, purpose="true-slot")
    return uniform(key, decoys + 1)


def hide(true: Shuffle, *, seed: bytes, decoys: int, geometry: Geometry) -> Slots:
    """Draw the decoys and the true key's slot from the run's seed.

    A decoy's 32-byte key is drawn as the true sub-key is, by HKDF of a uniform secret, so that the
    two cannot be told apart by anyone who does not know the secret.
    """
    slot = true_slot(seed, decoys)
    transforms = [
        Shuffle.from_key(
            subkey(seed, binding=b"", scheme=SCHEME, purpose="decoy", index=number), geometry
        )
        for number in range(decoys)
    ]
    transforms.insert(slot, true)
    return Slots(tuple(transforms), slot)


def choose_probes(seed: bytes, *, available: int, wanted: int) -> list[int]:
    """The positions of the probe images in the test data: a uniform choice without replacement.

    Raises ProbesError when there are fewer images than wanted.
    """
    if wanted > available:
        raise ProbesError(
            f"The data set has {available} test images; the run asks for {wanted} probes.",
            hint="Start a run with fewer probes.",
        )
    key = subkey(seed, binding=b"", scheme=SCHEME, purpose="probes")
    return permutation(key, available)[:wanted]
