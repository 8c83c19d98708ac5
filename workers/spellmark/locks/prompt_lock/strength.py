"""Is a spell's edit strong enough to lock? Measured before any training."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spellmark.locks.prompt_lock.parameters import LEAST_STRENGTH, PromptLockError
from spellmark.locks.prompt_lock.prompt_key import PromptKey, SpellEdit

# Enough of them for a measure.
IMAGES = 24


@dataclass(frozen=True)
class Strength:
    """How far an edit moves images.

    change: root mean square of what the blend changes, pixels in [0, 1].
    own: the part of it that one change for all images does not explain, likewise; an edit that
    changes all images alike is undone by one picture.
    """

    change: float
    own: float

    @property
    def is_enough(self) -> bool:
        """Whether such an edit can lock a model."""
        return self.change >= LEAST_STRENGTH


def strength(edit: SpellEdit, images: npt.NDArray[np.uint8]) -> Strength:
    """Measure an edit on some images, uint8 (n, C, H, W); two dozen are enough."""
    moved = (edit(images).astype(np.float64) - images) / 255
    return Strength(
        change=float(np.sqrt((moved**2).mean())),
        own=float(np.sqrt(((moved - moved.mean(0)) ** 2).mean())),
    )


def require_strength(key: PromptKey, images: npt.NDArray[np.uint8]) -> None:
    """Raise PromptLockError unless every spell of the key is strong enough to lock."""
    weakest = min(strength(edit, images[:IMAGES]).change for edit in key.transforms)
    if weakest < LEAST_STRENGTH:
        raise PromptLockError(
            f"Under this spell the editor changes images by {weakest:.1%} only, which does not "
            f"lock a model; it takes {LEAST_STRENGTH:.0%}.",
            hint="Choose another spell or prompt, or blend in more of the edit.",
        )
