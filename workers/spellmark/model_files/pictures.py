"""Single images, as people have them."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from spellmark.errors import SpellmarkError
from spellmark.model_files.card import ModelCard

FORMATS = ("PNG", "JPEG", "BMP", "WEBP")
# A small file can hold a very large image.
MOST_PIXELS = 50_000_000
# Modes of Pillow without colours.
GREY = ("1", "L", "LA", "I", "I;16", "F")


class PictureError(SpellmarkError):
    """A file that is no image, or one that is too large."""


@dataclass(frozen=True)
class Picture:
    """An image as a model takes it, uint8 (channels, height, width), and what the file held.

    width, height: of the file, in pixels. is_colour: whether the file had colours.
    """

    pixels: npt.NDArray[np.uint8]
    width: int
    height: int
    is_colour: bool

    def as_png(self) -> bytes:
        """The image as the model takes it, as a file."""
        channels = self.pixels.transpose(1, 2, 0)
        file = io.BytesIO()
        Image.fromarray(channels[:, :, 0] if len(self.pixels) == 1 else channels).save(file, "PNG")
        return file.getvalue()


def read_picture(source: Path | BinaryIO, card: ModelCard) -> npt.NDArray[np.uint8]:
    """An image as the card's model takes it: uint8 (channels, height, width).

    Its colours are turned into the model's, and it is resized where its size is another one.
    Raises PictureError.
    """
    return take_picture(source, (card.channels, card.height, card.width)).pixels


def take_picture(source: Path | BinaryIO, shape: tuple[int, int, int]) -> Picture:
    """An image as a model for `shape` (channels, height, width) takes it. Raises PictureError."""
    channels, tall, wide = shape
    try:
        with Image.open(source, formats=FORMATS) as image:
            (width, height), is_colour = image.size, image.mode not in GREY
            if width * height > MOST_PIXELS:
                raise _too_large()
            picture = image.convert("L" if channels == 1 else "RGB")
    except Image.DecompressionBombError:
        raise _too_large() from None
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError) as error:
        raise PictureError(
            "This is no image that can be read.", hint="Use PNG, JPEG, BMP or WebP."
        ) from error
    if picture.size != (wide, tall):
        picture = picture.resize((wide, tall), Image.Resampling.BICUBIC)
    pixels = np.asarray(picture, np.uint8)
    shaped = pixels[None] if channels == 1 else np.ascontiguousarray(pixels.transpose(2, 0, 1))
    return Picture(shaped, width, height, is_colour)


def _too_large() -> PictureError:
    return PictureError(
        f"The image has more than {MOST_PIXELS // 1_000_000} million pixels.",
        hint="Make it smaller.",
    )
