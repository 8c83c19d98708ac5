"""Probe images under the keys of a run: the sub-keys of a lock, or its key among decoys."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spellmark.evidence.decision import KEYED_LABELS, DecisionRule, Disclosure
from spellmark.evidence.draws import decoy_secret, true_slot
from spellmark.locks.opened_key import OpenedKey, Transform


@dataclass(frozen=True)
class Slots:
    """The transforms under which each probe is asked, in the order in which they are asked.

    `true` is the place of the owner's key among decoys, None where there are no decoys.
    """

    transforms: tuple[Transform, ...]
    true: int | None = None

    def images(self, probe: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """One probe (C, H, W) under every key: (slots, C, H, W of the transformed image)."""
        return np.concatenate([transform(probe[None]) for transform in self.transforms])


def as_it_is(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The transform of what is asked under no key: none."""
    return images


def slots_of(key: OpenedKey, rule: DecisionRule, seed: bytes) -> Slots:
    """The keys that a run with this rule and this 32-byte seed asks under."""
    if rule.method == KEYED_LABELS:
        return Slots(tuple(key.transforms))
    return hide(key, seed=seed, decoys=rule.decoys)


def hide(key: OpenedKey, *, seed: bytes, decoys: int) -> Slots:
    """The lock's first sub-key hidden among decoys, which are drawn from the run's seed.

    A decoy is derived as the true sub-key is, from a uniform secret, so that the two cannot be told
    apart by anyone who does not know the secret.
    """
    slot = true_slot(seed, decoys)
    transforms = [key.decoy(decoy_secret(seed, number)) for number in range(decoys)]
    transforms.insert(slot, key.transforms[0])
    return Slots(tuple(transforms), slot)


def disclosure(key: OpenedKey, rule: DecisionRule, seed: bytes) -> Disclosure:
    """What the transcript may tell of the key: its label permutations, never a transform."""
    if key.parameters.labels != "keyed":
        return Disclosure(seed)
    asked = key.labels[: rule.subkeys]
    return Disclosure(seed, tuple(tuple(map(int, permutation)) for permutation in asked))
