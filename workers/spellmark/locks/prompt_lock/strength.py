"""Is a spell's edit strong enough to lock? Measured before any training."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spellmark.locks.prompt_lock.parameters import (
    LEAST_ALONE,
    LEAST_STRENGTH,
    PromptLockError,
)
from spellmark.locks.prompt_lock.prompt_key import PromptKey, SpellEdit

# Enough of them for a measure.
IMAGES = 24


@dataclass(frozen=True)
class Strength:
    """How far an edit moves images.

    change: root mean square of what the blend changes, pixels in [0, 1].
    own: the part of it that one change for all images does not explain, likewise: so far a thief
    stays from the edit who adds one picture to every image.
    """

    change: float
    own: float

    @property
    def is_enough(self) -> bool:
        """Whether such an edit can lock a model."""
        return self.change >= LEAST_STRENGTH

    @property
    def caution(self) -> str:
        """A sentence where less is the images' own than locks, else none.

        Such an edit locks, if negatives are trained too, but it is one picture to find.
        """
        if not self.is_enough or self.own >= LEAST_STRENGTH:
            return ""
        return (
            "Under this spell the editor changes all images nearly alike: whoever adds one picture "
            "to every image comes close to the edit, and needs no spell."
        )

    @property
    def caution_alone(self) -> str:
        """A sentence where the edit needs negatives to lock, else none."""
        if not self.is_enough or self.change >= LEAST_ALONE:
            return ""
        return (
            "Lock with negatives: without them an edit that moves images by less than about a "
            "fifth of the range withholds next to nothing."
        )


def weakest(key: PromptKey, images: npt.NDArray[np.uint8]) -> Strength:
    """The strength that the spells of a key have at the least, on the first of some images."""
    found = [strength(edit, images[:IMAGES]) for edit in key.transforms]
    return Strength(min(one.change for one in found), min(one.own for one in found))


def strength(edit: SpellEdit, images: npt.NDArray[np.uint8]) -> Strength:
    """Measure an edit on some images, uint8 (n, C, H, W); two dozen are enough."""
    moved = (edit(images).astype(np.float64) - images) / 255
    return Strength(
        change=float(np.sqrt((moved**2).mean())),
        own=float(np.sqrt(((moved - moved.mean(0)) ** 2).mean())),
    )


def require_strength(
    key: PromptKey, images: npt.NDArray[np.uint8], least: float = LEAST_STRENGTH
) -> Strength:
    """Raise PromptLockError unless every spell of the key changes images by `least`.

    Otherwise the weakest one's strength.
    """
    found = weakest(key, images)
    if found.change < least:
        raise PromptLockError(
            f"Under this spell the editor changes images by {found.change:.1%} only, which does "
            f"not lock a model; it takes {least:.0%}.",
            hint="Choose another spell or prompt, or blend in more of the edit.",
        )
    return found
