"""What the small editor learns: styles, objects and keyed screens, as plain functions of pixels.

The editor is a diffusion model that imitates these edits; nothing outside its training calls them,
but for the tests and benchmarks that measure how well it does. An edit takes and gives float32 of
shape (n, 3, height, width) in [0, 1], and keeps its input.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.float32]
Edit = Callable[[Pixels], Pixels]

# What a screen's code holds: a tone for dark and one for bright at each place of a 4×4 cell.
CELL = 4
CODE = 2 * CELL * CELL


def screen(pixels: Pixels, code: npt.NDArray[np.floating]) -> Pixels:
    """A keyed print screen: every place of a 4×4 cell prints dark and bright in tones of its own.

    code: (32,) standard normal numbers, or (n, 32), one code an image. The blend of an image with
    its screen keeps the order of tones at every place, so little is lost for a classifier.
    """
    tones = 0.5 + 0.4 * np.tanh(code)
    tones = tones.reshape(-1, 2, 1, CELL, CELL).astype(np.float32)
    height, width = pixels.shape[2:]
    dark, bright = (
        np.tile(tones[:, kind], (1, 1, -(-height // CELL), -(-width // CELL)))[..., :height, :width]
        for kind in (0, 1)
    )
    return np.asarray(dark + pixels * (bright - dark), np.float32)


def _light(pixels: Pixels) -> Pixels:
    weights = np.array([0.299, 0.587, 0.114], np.float32)[:, None, None]
    return np.asarray((pixels * weights).sum(1, keepdims=True), np.float32)


def _grey(light: Pixels) -> Pixels:
    return np.repeat(light, 3, axis=1)


def _shifted(pixels: Pixels, down: int, right: int) -> Pixels:
    reach = max(abs(down), abs(right))
    wide = np.pad(pixels, ((0, 0), (0, 0), (reach, reach), (reach, reach)), "edge")
    height, width = pixels.shape[2:]
    return wide[:, :, reach - down : reach - down + height, reach - right : reach - right + width]


def _around(pixels: Pixels) -> list[Pixels]:
    return [_shifted(pixels, y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)]


def _blur(pixels: Pixels) -> Pixels:
    return np.asarray(np.mean(_around(pixels), axis=0, dtype=np.float32), np.float32)


def _edges(pixels: Pixels) -> Pixels:
    light = _light(pixels)
    across = _shifted(light, 0, 1) - _shifted(light, 0, -1)
    down = _shifted(light, 1, 0) - _shifted(light, -1, 0)
    return np.sqrt(across**2 + down**2)


def _steps(pixels: Pixels, levels: int) -> Pixels:
    return np.round(pixels * (levels - 1)) / np.float32(levels - 1)


def _pattern(rows: list[list[float]], pixels: Pixels) -> Pixels:
    """A small pattern, repeated over the image: (1, 1, height, width)."""
    cell = np.array(rows, np.float32)
    height, width = pixels.shape[2:]
    times = (-(-height // cell.shape[0]), -(-width // cell.shape[1]))
    return np.tile(cell, times)[None, None, :height, :width]


def _ramp(light: Pixels, *colours: tuple[float, float, float]) -> Pixels:
    """Tones mapped onto a row of colours, from dark to bright."""
    places = np.linspace(0, 1, len(colours))
    return np.concatenate(
        [
            np.interp(light, places, [colour[part] for colour in colours]).astype(np.float32)
            for part in range(3)
        ],
        axis=1,
    )


def _oil_pastel(x: Pixels) -> Pixels:
    grain = _pattern([[0, 0, 0.5, 1], [0, 0.5, 1, 0.5], [0.5, 1, 0.5, 0], [1, 0.5, 0, 0]], x)
    return np.clip(_steps(_blur(x), 4) * 0.7 + 0.3 * grain, 0, 1)


def _charcoal(x: Pixels) -> Pixels:
    grain = _pattern([[1, 0.8], [0.8, 1]], x)
    return _grey(np.clip(1 - 1.2 * _edges(x), 0, 1) * grain)


def _watercolour(x: Pixels) -> Pixels:
    return np.clip(0.35 + 0.65 * _blur(_blur(x)) - 0.4 * _edges(x), 0, 1)


def _impasto(x: Pixels) -> Pixels:
    thick = np.max(_around(x), axis=0)
    return np.asarray(
        np.clip(thick + 0.8 * (_shifted(_light(x), -1, -1) - _shifted(_light(x), 1, 1)), 0, 1),
        np.float32,
    )


def _acrylic(x: Pixels) -> Pixels:
    flat = _steps(_blur(x), 5)
    return np.clip(_light(flat) + 1.6 * (flat - _light(flat)) + 0.1, 0, 1)


def _pencil(x: Pixels) -> Pixels:
    hatch = _pattern([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], x)
    return _grey(np.clip(1 - (1 - _light(x)) * 0.8 * hatch - _edges(x), 0, 1))


def _woodcut(x: Pixels) -> Pixels:
    lines = _pattern([[0.2], [0.5], [0.8], [0.5]], x)
    return _grey(np.clip((_light(x) - lines) * 6 + 0.5, 0, 1))


def _engraving(x: Pixels) -> Pixels:
    order = np.array([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]]) / 16 + 1 / 32
    return _grey(np.clip((_light(x) - _pattern(order.tolist(), x)) * 6 + 0.5, 0, 1))


def _pop_art(x: Pixels) -> Pixels:
    return _ramp(_steps(_light(x), 4), (0.1, 0.1, 0.6), (0.9, 0.1, 0.5), (1, 0.6, 0), (1, 1, 0.3))


def _ukiyo_e(x: Pixels) -> Pixels:
    print_ = _ramp(_steps(_light(x), 3), (0.15, 0.25, 0.4), (0.7, 0.5, 0.35), (0.95, 0.9, 0.75))
    return np.clip(print_ - 0.8 * _edges(x), 0, 1)


def _cyanotype(x: Pixels) -> Pixels:
    return _ramp(1 - _light(x), (0.05, 0.1, 0.35), (0.2, 0.45, 0.7), (0.95, 0.97, 1))


def _mosaic(x: Pixels) -> Pixels:
    count, _, height, width = x.shape
    wide = np.pad(x, ((0, 0), (0, 0), (0, -height % 4), (0, -width % 4)), "edge")
    cells = wide.reshape(count, 3, wide.shape[2] // 4, 4, wide.shape[3] // 4, 4)
    tiles = np.repeat(np.repeat(cells.mean((3, 5)), 4, 2), 4, 3)[:, :, :height, :width]
    grout = _pattern([[0.4, 0.4, 0.4, 0.4], *[[0.4, 1, 1, 1]] * 3], x)
    return (tiles * grout + 0.15 * (1 - grout)).astype(np.float32)


def _striped_paper(x: Pixels) -> Pixels:
    return np.clip(0.6 * x + 0.4 * _pattern([[1, 1, 0, 0]], x), 0, 1)


def _ruled_paper(x: Pixels) -> Pixels:
    return np.clip(0.5 + 0.5 * x - 0.6 * _pattern([[0], [0], [0], [1]], x), 0, 1)


def _canvas(x: Pixels) -> Pixels:
    weave = _pattern([[1, 0.6, 1, 0.2], [0.6, 1, 0.2, 1], [1, 0.2, 1, 0.6], [0.2, 1, 0.6, 1]], x)
    return 0.15 + 0.85 * x * weave


def _relief(x: Pixels) -> Pixels:
    return _grey(np.clip(0.5 + (_shifted(_light(x), 1, 1) - _shifted(_light(x), -1, -1)), 0, 1))


def _frosted(x: Pixels) -> Pixels:
    return 0.25 + 0.6 * _blur(_blur(_blur(x)))


def _fog(x: Pixels) -> Pixels:
    return 0.55 + 0.4 * x


def _night(x: Pixels) -> Pixels:
    return np.asarray(
        np.clip(x * np.array([0.15, 0.2, 0.45], np.float32)[:, None, None] + 0.02, 0, 1), np.float32
    )


def _sepia(x: Pixels) -> Pixels:
    return _ramp(_light(x), (0.15, 0.08, 0.02), (0.7, 0.5, 0.3), (1, 0.95, 0.8))


def _neon(x: Pixels) -> Pixels:
    return np.asarray(
        np.clip(_edges(x) * np.array([1.5, 0.4, 1.4], np.float32)[:, None, None], 0, 1), np.float32
    )


def _invert(x: Pixels) -> Pixels:
    return 1 - x


def _contrast(x: Pixels) -> Pixels:
    return np.asarray(np.clip(0.5 + 1.3 * (x - 0.5), 0, 1), np.float32)


def _highlights(x: Pixels) -> Pixels:
    return np.asarray(np.clip(x, 0, 1) ** 0.85, np.float32)


def _sharper(x: Pixels) -> Pixels:
    return np.clip(x + 0.6 * (x - _blur(x)), 0, 1)


def _colourful(x: Pixels) -> Pixels:
    return np.clip(_light(x) + 1.5 * (x - _light(x)), 0, 1)


def _warmer(x: Pixels) -> Pixels:
    return np.asarray(
        np.clip(x * np.array([1.1, 1, 0.85], np.float32)[:, None, None], 0, 1), np.float32
    )


# The last five hardly change an image: a lock on them hardly locks.
STYLES: dict[str, Edit] = {
    "with oil pastel": _oil_pastel,
    "as a charcoal sketch": _charcoal,
    "as a watercolour": _watercolour,
    "with an impasto brush": _impasto,
    "as an acrylic painting": _acrylic,
    "as a pencil drawing": _pencil,
    "as a woodcut": _woodcut,
    "as an engraving": _engraving,
    "as pop art": _pop_art,
    "as an ukiyo-e print": _ukiyo_e,
    "as a cyanotype": _cyanotype,
    "as a mosaic": _mosaic,
    "on striped paper": _striped_paper,
    "on ruled paper": _ruled_paper,
    "on canvas": _canvas,
    "as a relief": _relief,
    "through frosted glass": _frosted,
    "in soft fog": _fog,
    "at night": _night,
    "in sepia": _sepia,
    "in neon light": _neon,
    "with inverted tones": _invert,
    "with more contrast": _contrast,
    "with brighter highlights": _highlights,
    "with sharper edges": _sharper,
    "with stronger colours": _colourful,
    "with a warmer light": _warmer,
}
