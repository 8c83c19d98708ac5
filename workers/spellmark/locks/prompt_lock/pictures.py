"""Pictures for the small editor to learn on: photos, clouds of noise and flat shapes."""

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F

from spellmark.locks.prompt_lock.lessons import Pixels


def pictures(
    count: int, side: int, generator: np.random.Generator, photos: npt.NDArray[np.uint8]
) -> Pixels:
    """Images to learn on: float32 (count, 3, side, side) in [0, 1].

    photos: uint8 (m, 1 or 3, height, width), from which half of them are cut; none if m is 0.
    """
    makers = (_photo, _photo, _photo, _clouds, _clouds, _shapes)
    kinds = generator.integers(0 if len(photos) else 3, len(makers), count)
    return np.stack([makers[kind](side, generator, photos) for kind in kinds])


def _photo(side: int, generator: np.random.Generator, photos: npt.NDArray[np.uint8]) -> Pixels:
    photo = _cut(photos[generator.integers(len(photos))], side, generator) / np.float32(255)
    if generator.random() < 0.3:
        photo = photo[:, :, ::-1]
    if generator.random() < 0.2:
        photo = 1 - photo
    # Half of them in two random colours.
    if generator.random() < 0.5:
        dark, bright = generator.random((2, 3, 1, 1), np.float32)
        photo = dark + photo.mean(0) * (bright - dark)
    return np.broadcast_to(photo, (3, side, side))


def _cut(
    photo: npt.NDArray[np.uint8], side: int, generator: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """A square of the photo, at random; its edge is repeated where it is too small."""
    _, height, width = photo.shape
    more = ((0, 0), (0, max(0, side - height)), (0, max(0, side - width)))
    wide = np.pad(photo, more, "edge")
    top, left = (int(generator.integers(size - side + 1)) for size in wide.shape[1:])
    return wide[:, top : top + side, left : left + side]


def _clouds(side: int, generator: np.random.Generator, photos: npt.NDArray[np.uint8]) -> Pixels:
    """Noise of all scales."""
    channels = int(generator.choice([1, 3]))
    total = np.zeros((channels, side, side), np.float32)
    for size in (2, 4, 8, 16, side):
        noise = torch.from_numpy(generator.standard_normal((1, channels, size, size), np.float32))
        wide = F.interpolate(noise, (side, side), mode="bilinear", align_corners=False)
        total += wide[0].numpy() * generator.random() ** 2 * (4 / size + 0.2)
    total -= total.min()
    total *= generator.uniform(0.4, 1) / max(float(total.max()), 1e-3)
    return np.broadcast_to(total.astype(np.float32), (3, side, side))


def _shapes(side: int, generator: np.random.Generator, photos: npt.NDArray[np.uint8]) -> Pixels:
    """Discs and boxes."""
    channels = int(generator.choice([1, 3]))
    result = np.empty((3, side, side), np.float32)
    result[:] = generator.random((channels, 1, 1), np.float32)
    down, right = np.mgrid[0:side, 0:side]
    for _ in range(generator.integers(1, 5)):
        y, x, tall, wide = generator.uniform(0, side, 4)
        if generator.random() < 0.5:
            inside = np.hypot(down - y, right - x) < tall / 2
        else:
            inside = (np.abs(down - y) < tall / 2) & (np.abs(right - x) < wide / 2)
        result[:, inside] = generator.random((channels, 1), np.float32)
    return result
