"""The sign test by drawing keys: what `sign_test` counts, estimated without any closed form."""

from collections.abc import Sequence

import numpy as np

_AT_ONCE = 10_000


def drawn_p_value(
    evidence: Sequence[int], signs: Sequence[int], *, draws: int, generator: np.random.Generator
) -> float:
    """p = (1 + drawn keys that fit at least as well) / (draws + 1), in (0, 1].

    evidence: whole numbers, one for each place; signs: the true key's, +1 or -1. Valid by itself,
    as the true key is one more draw under the null.
    """
    values = np.asarray(evidence, np.int64)
    own = int(values @ np.asarray(signs, np.int64))
    as_well = 0
    for start in range(0, draws, _AT_ONCE):
        count = min(_AT_ONCE, draws - start)
        drawn = generator.integers(0, 2, (count, len(values)), np.int8) * 2 - 1
        as_well += int((drawn @ values >= own).sum())
    return (1 + as_well) / (draws + 1)
