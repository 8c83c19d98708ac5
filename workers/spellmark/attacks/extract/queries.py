"""Images to ask about, for a thief who has none like the owner's."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F

from spellmark.attacks.attack import AttackError, Images
from spellmark.model_files.card import ModelCard

# A field of noise has so many independent places a side before it is blown up.
COARSE = 7


def fitted(images: Images, card: ModelCard) -> Images:
    """Images of another data set in the size and with the channels that the API takes."""
    pixels = torch.from_numpy(images.astype(np.float32))
    if images.shape[1] != card.channels:
        pixels = pixels.mean(1, keepdim=True).expand(-1, card.channels, -1, -1)
    size = (card.height, card.width)
    if images.shape[2:] != size:
        pixels = F.interpolate(pixels, size, mode="bilinear", antialias=True)
    return np.asarray(pixels.round().clamp(0, 255).byte().numpy())


def invented(images: Images, count: int, generator: np.random.Generator) -> Images:
    """`count` images made from others of any content, uint8 (count, C, H, W).

    A third each, in random order: patches of four images, blends of two, and smooth noise with
    the mean and deviation of the images. Raises AttackError.
    """
    if not len(images):
        raise AttackError("There is nothing to make images from.", hint="Give some images.")
    kinds = np.arange(count) % len(_KINDS)
    generator.shuffle(kinds)
    made = np.empty((count, *images.shape[1:]), np.uint8)
    for number, make in enumerate(_KINDS):
        places = np.flatnonzero(kinds == number)
        made[places] = make(images, len(places), generator)
    return made


def _patches(images: Images, count: int, generator: np.random.Generator) -> Images:
    """Each quarter from another image; where they meet differs."""
    height, width = images.shape[2:]
    drawn = images[generator.integers(len(images), size=(4, count))]
    low = np.arange(height) >= _meets(height, count, generator)
    right = np.arange(width) >= _meets(width, count, generator)
    corner = 2 * low[:, None, :, None] + right[:, None, None, :]
    return np.asarray(np.take_along_axis(drawn, corner[None], axis=0)[0])


def _meets(side: int, count: int, generator: np.random.Generator) -> npt.NDArray[np.int64]:
    return generator.integers(side // 4, side - side // 4, size=(count, 1), endpoint=True)


def _blends(images: Images, count: int, generator: np.random.Generator) -> Images:
    """Two images, one over the other, in any proportion."""
    one, two = images[generator.integers(len(images), size=(2, count))].astype(np.float64)
    share = generator.random((count, 1, 1, 1))
    return np.asarray((share * one + (1 - share) * two).round(), np.uint8)


def _noise(images: Images, count: int, generator: np.random.Generator) -> Images:
    """Clouds as dark and as contrasted as the images are."""
    channels, height, width = images.shape[1:]
    coarse = generator.normal(size=(count, channels, COARSE, COARSE))
    clouds = F.interpolate(torch.from_numpy(coarse), (height, width), mode="bicubic").numpy()
    values = images.mean() + images.std() * clouds
    return np.asarray(values.round().clip(0, 255), np.uint8)


_KINDS: tuple[Callable[[Images, int, np.random.Generator], Images], ...] = (
    _patches, _blends, _noise,
)  # fmt: skip
