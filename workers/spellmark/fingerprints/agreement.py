"""Agreement on the owner's own mistakes: the baseline that every finer fingerprint has to beat.

Two models that learned alone are right about the same images, but wrong in different ways. A copy
is wrong as the original is. Source: AKH of QuRD (2412.13021, section on the baseline).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Answers = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Agreement:
    """score: the share of probes that agree, in [0, 1]; higher is closer. by_class: the same for
    the probes of each class that the owner's model gives, of those that it gives any of.
    """

    score: float
    agreed: int
    probes: int
    by_class: dict[int, float]


def agreement(owner: Labels, suspect: Labels) -> Agreement:
    """How often a suspect gives the owner's wrong class: both int64 (n,), n of at least 1."""
    if owner.shape != suspect.shape or owner.ndim != 1 or not owner.size:
        raise ValueError(f"labels of the shapes {owner.shape} and {suspect.shape} do not belong")
    same = owner == suspect
    return Agreement(
        score=float(same.mean()),
        agreed=int(same.sum()),
        probes=len(owner),
        by_class={int(one): float(same[owner == one].mean()) for one in np.unique(owner)},
    )
