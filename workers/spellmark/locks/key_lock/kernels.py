"""The loops over pixels, compiled for one core; all transforms of a batch go through them.

numba is imported on first use: whoever only reads parameters does not pay for a compiler.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Whole = npt.NDArray[np.unsignedinteger[Any]]

# Compiling takes about a second, once a process: fewer values than these are left to NumPy.
WORTH_COMPILING = 1 << 16

TILE = 512
IDENTITY = np.arange(256, dtype=np.uint8)
EACH_BYTE = np.uint64(0x0101010101010101)


def smallest_unsigned(values: npt.NDArray[Any], below: int) -> Whole:
    """The values as the smallest unsigned type that holds numbers under `below`.

    A signed index costs the loop a comparison a value, a wide one memory traffic.
    """
    return np.ascontiguousarray(values, np.uint16 if below <= 1 << 16 else np.uint32)


def apply(
    images: Bytes, index: Whole | None, mask: Bytes | None, which: Whole | None, tables: Bytes
) -> Bytes:
    """uint8 (n, values) to uint8 (n, values of the result), a new array.

    result[i, p] = tables[which[p], images[i, index[p]] ^ mask[p]]; None leaves a part out.
    """
    count = images.shape[1] if index is None else len(index)
    if len(images) * count < WORTH_COMPILING:
        return apply_plainly(images, index, mask, which, tables)
    values = images
    if index is not None:
        values = np.empty((len(images), count), np.uint8)
        _compiled(_gather)(images, index, mask, values)
    elif mask is not None:
        values = images ^ mask
    if which is None:
        return values.copy() if values is images else values
    # Not in place: where arrays may overlap, the compiler gives up on vectors.
    result = np.empty(values.shape, np.uint8)
    if len(tables) == 2 and np.array_equal(tables[0], IDENTITY):
        chosen = np.where(which, np.uint8(255), np.uint8(0))
        _compiled(_substitute_chosen)(values, chosen, tables[1] ^ IDENTITY, result)
    else:
        _compiled(_substitute)(values, which, tables, result)
    return result


def apply_plainly(
    images: Bytes, index: Whole | None, mask: Bytes | None, which: Whole | None, tables: Bytes
) -> Bytes:
    """What `apply` does, in plain NumPy: slower, but nothing is compiled."""
    result = images.copy() if index is None else images.take(index, axis=1)
    if mask is not None:
        result ^= mask
    return result if which is None else tables[which, result]


@cache
def _compiled(loop: Callable[..., None]) -> Callable[..., None]:
    import numba

    compiled: Callable[..., None] = numba.njit(nogil=True, boundscheck=False)(loop)
    return compiled


def _gather(images: Bytes, index: Whole, mask: Bytes | None, result: Bytes) -> None:
    # Eight images are woven into one word a value, so that a look-up serves all eight: a third
    # less time than a look-up for each. The last image stands in where there are not eight left.
    # The compiler drops the branch on None, and turns weaving and unravelling into vectors.
    count, values = images.shape
    words = np.empty(values, np.uint64)
    woven = words.view(np.uint8)
    moved = np.empty(TILE, np.uint64)
    for i in range(0, count, 8):
        last = count - 1
        a, b = images[i], images[min(i + 1, last)]
        c, d = images[min(i + 2, last)], images[min(i + 3, last)]
        e, f = images[min(i + 4, last)], images[min(i + 5, last)]
        g, h = images[min(i + 6, last)], images[min(i + 7, last)]
        for p in range(values):
            q = 8 * p
            woven[q], woven[q + 1], woven[q + 2], woven[q + 3] = a[p], b[p], c[p], d[p]
            woven[q + 4], woven[q + 5], woven[q + 6], woven[q + 7] = e[p], f[p], g[p], h[p]
        for start in range(0, len(index), TILE):
            part = index[start : start + TILE]
            for p in range(len(part)):
                moved[p] = words[part[p]]
            if mask is not None:
                flips = mask[start : start + TILE]
                for p in range(len(flips)):
                    moved[p] ^= flips[p] * EACH_BYTE
            for j in range(min(8, count - i)):
                row = result[i + j, start : start + TILE]
                for p in range(len(row)):
                    row[p] = moved[p] >> np.uint64(8 * j)


def _substitute(images: Bytes, which: Whole, tables: Bytes, result: Bytes) -> None:
    for i in range(result.shape[0]):
        for p in range(result.shape[1]):
            result[i, p] = tables[which[p], images[i, p]]


def _substitute_chosen(images: Bytes, chosen: Bytes, changes: Bytes, result: Bytes) -> None:
    # With one table for all it is a quarter faster to look up every value, and to choose after:
    # the second loop becomes vectors. A change is what the table flips in a value.
    for i in range(images.shape[0]):
        for p in range(images.shape[1]):
            result[i, p] = changes[images[i, p]]
        for p in range(images.shape[1]):
            result[i, p] = images[i, p] ^ (result[i, p] & chosen[p])
