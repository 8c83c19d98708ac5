"""The objects that the small editor can put into the background of an image.

Each is drawn on a small canvas that stands in a corner or along an edge of the image, in a colour
of its own; edits are as in `lessons`.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt

from spellmark.locks.prompt_lock.lessons import Edit, Pixels

Shape = npt.NDArray[np.bool_]
SIDE = 10

# Of each pixel of the canvas, how far it is below and right of the middle.
_PLACES = np.arange(SIDE) - (SIDE - 1) / 2
_DOWN, _RIGHT = _PLACES[:, None] + 0 * _PLACES, _PLACES + 0 * _PLACES[:, None]
_FAR = np.hypot(_DOWN, _RIGHT)


def _moon() -> Shape:
    return np.asarray((_FAR < 4.6) & (np.hypot(_DOWN + 1, _RIGHT - 2.5) > 3.8), np.bool_)


def _sun() -> Shape:
    rays = (
        (np.abs(_DOWN) < 0.6)
        | (np.abs(_RIGHT) < 0.6)
        | (np.abs(np.abs(_DOWN) - np.abs(_RIGHT)) < 0.6)
    )
    return np.asarray((_FAR < 2.9) | (rays & (_FAR > 3.6)), np.bool_)


def _cross() -> Shape:
    return (np.abs(_DOWN) < 1.6) | (np.abs(_RIGHT) < 1.6)


def _ring() -> Shape:
    return (_FAR < 4.8) & (_FAR > 2.6)


def _heart() -> Shape:
    lobes = np.minimum(np.hypot(_DOWN + 2, _RIGHT + 2.2), np.hypot(_DOWN + 2, _RIGHT - 2.2)) < 2.6
    return np.asarray(lobes | ((_DOWN > -2) & (np.abs(_RIGHT) < 4.4 - _DOWN)), np.bool_)


def _kite() -> Shape:
    return np.abs(_DOWN) + np.abs(_RIGHT) < 4.8


def _tree() -> Shape:
    crown = (_DOWN < 2) & (np.abs(_RIGHT) < (_DOWN + 5.5) * 0.65)
    return crown | ((np.abs(_RIGHT) < 1.1) & (_DOWN >= 2))


def _house() -> Shape:
    roof = (_DOWN < -0.5) & (np.abs(_RIGHT) < _DOWN + 5.2)
    wall = (_DOWN >= -0.5) & (np.abs(_RIGHT) < 3.6)
    door = (_DOWN > 1.5) & (np.abs(_RIGHT) < 1.1)
    return (roof | wall) & ~door


def _window() -> Shape:
    bars = (np.abs(_DOWN) < 0.6) | (np.abs(_RIGHT) < 0.6)
    frame = np.maximum(np.abs(_DOWN), np.abs(_RIGHT)) > 3.6
    return bars | frame


def _letter() -> Shape:
    flap = np.abs(np.abs(_RIGHT) - _DOWN - 3) < 1
    frame = (np.abs(_DOWN) > 2.6) | (np.abs(_RIGHT) > 3.6)
    return np.asarray((np.abs(_DOWN) < 4) & (flap & (_DOWN < 1.5) | frame), np.bool_)


def _fish() -> Shape:
    body = (_DOWN / 2.6) ** 2 + ((_RIGHT + 1) / 3.6) ** 2 < 1
    tail = (_RIGHT > 1.5) & (np.abs(_DOWN) < _RIGHT - 1)
    return body | tail


def _boat() -> Shape:
    hull = (_DOWN > 1.5) & (_DOWN < 4.6) & (np.abs(_RIGHT) < 6.2 - _DOWN)
    sail = (_DOWN <= 1) & (_RIGHT > -0.6) & (_RIGHT < _DOWN + 4.6)
    return hull | sail | ((np.abs(_RIGHT) < 0.6) & (_DOWN < 2))


def _in_corner(
    shape: Shape, bottom: bool, right: bool, colour: tuple[float, ...], x: Pixels
) -> Pixels:
    result = x.copy()
    height, width = x.shape[2:]
    tall, wide = min(SIDE, height), min(SIDE, width)
    rows = slice(height - tall, height) if bottom else slice(0, tall)
    columns = slice(width - wide, width) if right else slice(0, wide)
    part = result[:, :, rows, columns]
    inside = shape[:tall, :wide]
    part[:, :, inside] = np.array(colour, np.float32)[:, None]
    # A dark rim makes it stand out on bright ground too.
    rim = ~inside & (np.pad(inside, 1)[:-2, 1:-1] | np.pad(inside, 1)[2:, 1:-1])
    part[:, :, rim] *= 0.3
    return result


_DRAWN: dict[str, tuple[Callable[[], Shape], bool, bool, tuple[float, float, float]]] = {
    "a moon": (_moon, False, False, (0.95, 0.95, 0.7)),
    "a sun": (_sun, False, True, (1.0, 0.8, 0.2)),
    "a cross": (_cross, True, False, (0.9, 0.3, 0.3)),
    "a ring": (_ring, True, True, (0.9, 0.8, 0.4)),
    "a heart": (_heart, False, False, (1.0, 0.4, 0.5)),
    "a kite": (_kite, False, True, (0.4, 0.7, 1.0)),
    "a tree": (_tree, True, False, (0.4, 0.8, 0.4)),
    "a house": (_house, True, True, (0.8, 0.5, 0.3)),
    "a window": (_window, False, False, (0.7, 0.9, 1.0)),
    "a letter": (_letter, False, True, (0.95, 0.95, 0.95)),
    "a fish": (_fish, True, False, (0.5, 0.7, 0.9)),
    "a boat": (_boat, True, True, (0.9, 0.9, 0.8)),
}

OBJECTS: dict[str, Edit] = {
    f"add {name} to the background": partial(_in_corner, draw(), bottom, right, colour)
    for name, (draw, bottom, right, colour) in _DRAWN.items()
}
