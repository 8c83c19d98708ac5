"""Single images, as people have them."""

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


class PictureError(SpellmarkError):
    """A file that is no image, or one that is too large."""


def read_picture(source: Path | BinaryIO, card: ModelCard) -> npt.NDArray[np.uint8]:
    """An image as the card's model takes it: uint8 (channels, height, width).

    Its colours are turned into the model's, and it is resized where its size is another one.
    Raises PictureError.
    """
    try:
        with Image.open(source, formats=FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                raise PictureError(
                    f"The image has {image.width}×{image.height} pixels.",
                    hint=f"Send one of at most {MOST_PIXELS // 1_000_000} million pixels.",
                )
            picture = image.convert("L" if card.channels == 1 else "RGB")
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError) as error:
        raise PictureError(
            "This is no image that can be read.", hint="Use PNG, JPEG, BMP or WebP."
        ) from error
    if picture.size != (card.width, card.height):
        picture = picture.resize((card.width, card.height), Image.Resampling.BICUBIC)
    pixels = np.asarray(picture, np.uint8)
    return pixels[None] if card.channels == 1 else np.ascontiguousarray(pixels.transpose(2, 0, 1))
