import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from spellmark.model_files import pictures
from spellmark.model_files.card import ModelCard
from spellmark.model_files.pictures import PictureError, read_picture, take_picture

GREY = ModelCard(architecture="small-cnn", classes=10, channels=1, height=8, width=12)
COLOUR = ModelCard(architecture="small-cnn", classes=10, channels=3, height=8, width=12)


def saved(image: Image.Image, kind: str = "PNG") -> io.BytesIO:
    file = io.BytesIO()
    image.save(file, kind)
    file.seek(0)
    return file


def shape_of(card: ModelCard) -> tuple[int, int, int]:
    return card.channels, card.height, card.width


def noise(height: int, width: int, channels: int) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, channels), np.uint8)
    return Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels)


@pytest.mark.parametrize("card", [GREY, COLOUR])
def test_an_image_of_the_models_size_is_taken_as_it_is(card):
    image = noise(8, 12, card.channels)
    taken = take_picture(saved(image), shape_of(card))
    assert taken.pixels.shape == (card.channels, 8, 12)
    assert (taken.width, taken.height, taken.is_colour) == (12, 8, card.channels == 3)
    again = read_picture(io.BytesIO(taken.as_png()), card)
    assert np.array_equal(again, taken.pixels)
    wanted = np.asarray(image).reshape(8, 12, -1).transpose(2, 0, 1)
    assert np.array_equal(taken.pixels, wanted)


@pytest.mark.parametrize("kind", pictures.FORMATS)
@pytest.mark.parametrize("card", [GREY, COLOUR])
def test_other_sizes_and_colours_are_converted(card, kind):
    taken = take_picture(saved(noise(40, 30, 3), kind), shape_of(card))
    assert taken.pixels.shape == (card.channels, 8, 12)
    assert taken.pixels.dtype == np.uint8
    assert (taken.width, taken.height, taken.is_colour) == (30, 40, True)


def test_a_grey_image_becomes_a_colour_one_without_colours():
    taken = take_picture(saved(noise(8, 12, 1)), shape_of(COLOUR))
    assert not taken.is_colour
    assert np.array_equal(taken.pixels[0], taken.pixels[2])


@pytest.mark.parametrize("data", [b"", b"nothing", b"GIF89a", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_image_is_told(data):
    with pytest.raises(PictureError, match="no image that can be read"):
        read_picture(io.BytesIO(data), GREY)


def test_an_image_that_is_cut_short_is_told():
    whole = saved(noise(40, 40, 3)).getvalue()
    with pytest.raises(PictureError, match="no image that can be read"):
        read_picture(io.BytesIO(whole[: len(whole) // 2]), GREY)


@pytest.mark.parametrize("side", [7_100, 20_000, 60_000])
def test_a_small_file_with_a_very_large_image_is_not_unpacked(side):
    """Pillow itself refuses the larger ones, by an error of its own."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    file = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    with pytest.raises(PictureError, match="more than 50 million pixels"):
        read_picture(io.BytesIO(file), GREY)
