"""What a thief does to images without an editor: some to train against, others kept for the test.

Each takes and gives uint8 (n, C, H, W), and draws its strength from the generator.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Images = npt.NDArray[np.uint8]
Operation = Callable[[Images, np.random.Generator], Images]


def _bytes(pixels: npt.NDArray[np.floating]) -> Images:
    return np.clip(np.round(pixels), 0, 255).astype(np.uint8)


def tint(images: Images, generator: np.random.Generator) -> Images:
    """Less contrast and another brightness, in each channel."""
    shape = (1, images.shape[1], 1, 1)
    return _bytes(images * generator.uniform(0.4, 1, shape) + generator.uniform(0, 150, shape))


def blur(images: Images, generator: np.random.Generator) -> Images:
    """A box of three by three pixels, once to three times."""
    pixels = images.astype(np.float32)
    for _ in range(generator.integers(1, 4)):
        wide = np.pad(pixels, ((0, 0), (0, 0), (1, 1), (1, 1)), "edge")
        across = wide[:, :, :, :-2] + wide[:, :, :, 1:-1] + wide[:, :, :, 2:]
        pixels = (across[:, :, :-2] + across[:, :, 1:-1] + across[:, :, 2:]) / 9
    return _bytes(pixels)


def noise(images: Images, generator: np.random.Generator) -> Images:
    """Normal noise."""
    spread = generator.uniform(5, 60)
    return _bytes(images + spread * generator.standard_normal(images.shape, np.float32))


def gamma(images: Images, generator: np.random.Generator) -> Images:
    """A tone curve."""
    return _bytes(255 * (images / 255) ** generator.uniform(0.4, 2.5))


def pattern(images: Images, generator: np.random.Generator) -> Images:
    """A random cell of two to eight pixels, laid over the image again and again."""
    height, width = images.shape[2:]
    side = int(generator.integers(2, 9))
    cell = generator.uniform(0, 255, (1, 1, side, side))
    tiled = np.tile(cell, (1, 1, -(-height // side), -(-width // side)))[:, :, :height, :width]
    part = generator.uniform(0.2, 0.6)
    return _bytes(images * (1 - part) + tiled * part)


def stretch(images: Images, generator: np.random.Generator) -> Images:
    """More contrast about the middle."""
    return _bytes((images.astype(np.float32) - 128) * generator.uniform(1.2, 2.5) + 128)


def invert(images: Images, generator: np.random.Generator) -> Images:
    """Dark for bright, in part."""
    part = generator.uniform(0.3, 1)
    return _bytes(images * (1 - part) + (255 - images.astype(np.float32)) * part)


def posterise(images: Images, generator: np.random.Generator) -> Images:
    """Few tones."""
    levels = int(generator.integers(2, 6))
    return _bytes(np.round(images / 255 * (levels - 1)) * (255 / (levels - 1)))


def pixelate(images: Images, generator: np.random.Generator) -> Images:
    """Larger pixels."""
    side = int(generator.integers(2, 5))
    height, width = images.shape[2:]
    rows, columns = (np.arange(size) // side * side for size in (height, width))
    return np.ascontiguousarray(images[:, :, rows][:, :, :, columns])


def stripes(images: Images, generator: np.random.Generator) -> Images:
    """Lines across."""
    period, part = int(generator.integers(2, 9)), generator.uniform(0.2, 0.6)
    lines = 255.0 * (np.arange(images.shape[2]) % period < period / 2)
    return _bytes(images * (1 - part) + lines[:, None] * part)


TRAINED: dict[str, Operation] = {
    "tint": tint, "blur": blur, "noise": noise, "gamma": gamma, "pattern": pattern,
}  # fmt: skip
HELD_OUT: dict[str, Operation] = {
    "stretch": stretch, "invert": invert, "posterise": posterise, "pixelate": pixelate,
    "stripes": stripes,
}  # fmt: skip
