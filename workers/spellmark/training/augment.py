"""Variations of training images, for a teacher to label."""

import numpy as np
import numpy.typing as npt

Images = npt.NDArray[np.uint8]


def vary(images: Images, generator: np.random.Generator, *, most: float = 0.04) -> Images:
    """Shift, mirror and mix images: uint8 (n, C, H, W), a new array back.

    Every image is shifted by up to `most` of its size, its edge repeated; half of them are mirrored
    and half of them are blended with another one. None of this keeps a class for sure (a mirrored
    digit is no digit), so the results need labels of their own: a teacher's answers.
    """
    count, _, height, width = images.shape
    rows = _window(generator, count, height, int(height * most))
    columns = _window(generator, count, width, int(width * most))
    mirrored = generator.random(count) < 0.5
    columns[mirrored] = columns[mirrored, ::-1]
    moved = _taken(images, rows, columns)
    mixed = np.flatnonzero(generator.random(count) < 0.5)
    weight = generator.integers(0, 129, (len(mixed), 1, 1, 1), np.uint16)
    other = moved[generator.permutation(count)[: len(mixed)]]
    blend = moved[mixed] * (256 - weight) + other * weight
    moved[mixed] = (blend >> 8).astype(np.uint8)
    return moved


def shifted(images: Images, generator: np.random.Generator, *, most: float = 0.08) -> Images:
    """Shift every image by up to `most` of its size, its edge repeated: a new array back.

    The bound is one pixel at least, for small images.
    """
    count, _, height, width = images.shape
    rows = _window(generator, count, height, max(1, int(height * most)))
    columns = _window(generator, count, width, max(1, int(width * most)))
    return _taken(images, rows, columns)


def _taken(images: Images, rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64]) -> Images:
    """The pixels at these positions of each image, (n, size) of rows and of columns."""
    numbers = np.arange(len(images))[:, None, None]
    found = images[numbers, :, rows[:, :, None], columns[:, None, :]]
    return np.ascontiguousarray(found.transpose(0, 3, 1, 2))


def _window(
    generator: np.random.Generator, count: int, size: int, reach: int
) -> npt.NDArray[np.int64]:
    """For each image the positions that it takes its rows (or columns) from: (count, size)."""
    shifts = generator.integers(-reach, reach, (count, 1), endpoint=True)
    window: npt.NDArray[np.int64] = np.clip(np.arange(size) + shifts, 0, size - 1)
    return window
