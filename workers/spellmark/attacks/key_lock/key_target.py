"""What a thief of a key-locked model holds."""

from dataclasses import dataclass

from spellmark.attacks.attack import Images, Target
from spellmark.attacks.key_lock.key_guess import KeyGuess
from spellmark.locks.key_lock.parameters import Geometry, LockParameters


@dataclass(frozen=True)
class KeyTarget(Target):
    """The weights, the lock's public parameters, and how its blocks lie in an image."""

    parameters: LockParameters
    geometry: Geometry

    def prepared(self, images: Images) -> Images:
        """Plain images, padded as the lock pads them."""
        return KeyGuess.identity(self.geometry, self.parameters).transform()(images)
