"""Agreement on the owner's own mistakes: the baseline that every finer fingerprint has to beat.

Two models that learned alone are right about the same images, but wrong in different ways. A copy
is wrong as the original is. Source: AKH of QuRD (2412.13021, section on the baseline).
"""

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.int64]


def agreement(owner: Labels, suspect: Labels) -> float:
    """The share of probes, in [0, 1], to which a suspect gives the owner's wrong class.

    Both int64 (n,), n of at least 1; higher is closer. Raises ValueError for others.
    """
    if owner.shape != suspect.shape or owner.ndim != 1 or not owner.size:
        raise ValueError(f"labels of the shapes {owner.shape} and {suspect.shape} do not belong")
    return float((owner == suspect).mean())
