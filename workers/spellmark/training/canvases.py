"""Images to segment, composed from images to classify: items cut out and put on textured canvases.

The masks are exact, for whoever puts an item down knows where it lies.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from spellmark.training.datasets import DatasetError, Split
from spellmark.training.segmentation import SegmentationSplit

Images = npt.NDArray[np.uint8]
Shape = npt.NDArray[np.bool_]
Field = npt.NDArray[np.float64]

# What is brighter than this belongs to the item; Fashion-MNIST's ground is 0.
BRIGHTER_THAN = 12
# A hole of up to this share of the image is a dark part of the item; larger ones show the ground,
# as a bag's handle does.
LARGEST_HOLE = 0.03
# Of so many places, an item takes the one where it hides the least.
PLACES = 6
# How far the two tones of a texture are apart at most.
CONTRAST = 120


def silhouettes(images: Images) -> npt.NDArray[np.bool_]:
    """Where the items are, on dark ground: bool (n, H, W) for uint8 images (n, C, H, W)."""
    return np.stack([_filled(picture) for picture in images.max(1) > BRIGHTER_THAN])


def _filled(shape: Shape) -> Shape:
    holes, count = ndimage.label(~shape)
    sizes = np.bincount(holes.ravel(), minlength=count + 1)
    small = sizes <= LARGEST_HOLE * shape.size
    # What touches the border is no hole.
    border = np.concatenate([holes[0], holes[-1], holes[:, 0], holes[:, -1]])
    small[border] = False
    return np.asarray(shape | small[holes], np.bool_)


def compose(
    items: Split,
    count: int,
    generator: np.random.Generator,
    *,
    side: int = 28,
    most: int = 2,
    sizes: tuple[float, float] = (0.6, 0.9),
    classes: Sequence[int] | None = None,
) -> SegmentationSplit:
    """`count` canvases of `side`×`side` pixels with one to `most` items of `items` on each.

    A canvas has stripes, checks, noise of some scale or a gradient, in two random colours. An item
    is drawn at random, resized to a share of the side between the two `sizes`, and put down inside
    the canvas by its silhouette (see `silhouettes`), where it hides little of earlier ones.
    `classes` tells the mask's class, from 1, for each label; left out, it is the label + 1. The
    background is 0. The same generator gives the same canvases. Raises DatasetError.
    """
    if classes is None:
        classes = range(1, int(items.labels.max(initial=0)) + 2)
    if len(items) == 0 or min(classes) < 1 or len(classes) <= items.labels.max():
        raise DatasetError(
            "There is nothing to compose, or a label without a class.",
            hint="Give at least one item, and a class from 1 on for every label.",
        )
    if not 0 < sizes[0] <= sizes[1] <= 1:
        raise DatasetError(
            f"Items cannot take {sizes[0]} to {sizes[1]} of a canvas.",
            hint="Give two shares of the side above 0, and at most 1.",
        )
    images = np.empty((count, items.images.shape[1], side, side), np.uint8)
    masks = np.zeros((count, side, side), np.int64)
    for picture, mask in zip(images, masks, strict=True):
        picture[:] = _canvas(len(picture), side, generator)
        for item in generator.integers(len(items), size=generator.integers(1, most + 1)):
            size = max(1, round(side * generator.uniform(*sizes)))
            pixels, shape = _cut_out(items.images[item], size)
            place = _place(mask, shape, generator)
            picture[:, *place][:, shape] = pixels[:, shape]
            mask[place][shape] = classes[items.labels[item]]
    return SegmentationSplit(images, masks)


def _place(
    mask: npt.NDArray[np.int64], shape: Shape, generator: np.random.Generator
) -> tuple[slice, slice]:
    """Of some places drawn at random, the one where the shape hides the least of other items."""
    size = len(shape)
    places = [
        np.s_[top : top + size, left : left + size]
        for top, left in generator.integers(len(mask) - size + 1, size=(PLACES, 2))
    ]
    return min(places, key=lambda place: np.count_nonzero(mask[place][shape]))


def _cut_out(item: Images, size: int) -> tuple[Images, Shape]:
    """An item, uint8 (C, H, W), resized to a square: its pixels and its silhouette."""
    shape = silhouettes(item[None])[0]
    pixels = np.stack([_resized(channel, size) for channel in item])
    return pixels, _resized(shape.astype(np.uint8) * 255, size) > 127


def _resized(channel: Images, size: int) -> Images:
    box = Image.Resampling.BOX if size <= min(channel.shape) else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(channel).resize((size, size), box))


def _canvas(channels: int, side: int, generator: np.random.Generator) -> Images:
    """A texture in two random colours: uint8 (channels, side, side)."""
    make = _TEXTURES[generator.integers(len(_TEXTURES))]
    first = generator.uniform(0, 255, (channels, 1, 1))
    second = first + generator.uniform(-CONTRAST, CONTRAST, (channels, 1, 1))
    mixed = first + make(side, generator) * (second - first)
    return np.clip(np.round(mixed), 0, 255).astype(np.uint8)


def _slope(side: int, generator: np.random.Generator) -> Field:
    """How far each pixel lies along a random direction, in pixels: (side, side)."""
    angle = generator.uniform(0, 2 * np.pi)
    places = np.arange(side) - (side - 1) / 2
    return np.asarray(np.sin(angle) * places[:, None] + np.cos(angle) * places)


def _waves(slope: Field, generator: np.random.Generator) -> Field:
    """0 and 1 in turns along a slope, every two to six pixels."""
    period, start = generator.uniform(4, 12), generator.uniform(0, 12)
    return np.asarray((slope + start) % period < period / 2, np.float64)


def _stripes(side: int, generator: np.random.Generator) -> Field:
    return _waves(_slope(side, generator), generator)


def _checks(side: int, generator: np.random.Generator) -> Field:
    return np.abs(_stripes(side, generator) - _stripes(side, generator))


def _gradient(side: int, generator: np.random.Generator) -> Field:
    return _stretched(_slope(side, generator))


def _noise(side: int, generator: np.random.Generator) -> Field:
    """Random tones that are one to eight pixels apart, and run into each other between."""
    apart = 2 ** int(generator.integers(4))
    coarse = generator.random((-(-side // apart) + 1,) * 2)
    return _stretched(ndimage.zoom(coarse, apart, order=1)[:side, :side])


def _stretched(field: Field) -> Field:
    low, high = field.min(), field.max()
    return np.asarray((field - low) / max(high - low, 1e-9))


_TEXTURES: tuple[Callable[[int, np.random.Generator], Field], ...] = (
    _stripes, _checks, _gradient, _noise,
)  # fmt: skip
