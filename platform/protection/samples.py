"""Test images, plain and locked, side by side: what the chosen options do to them."""

import io
import secrets
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from protection.services import ProtectionError, geometry_of
from spellmark.locks.key_lock.kernels import apply_plainly
from spellmark.locks.key_lock.lock_key import LockKey
from spellmark.locks.key_lock.parameters import SUBSTITUTE, LockParameters
from spellmark.training import datasets

Images = npt.NDArray[np.uint8]

COUNT = 6
GAP = 4
# Small images are drawn with larger pixels, so that people see them.
LEAST_SIDE = 84
# What a page may spend on drawing a key; a worker draws larger ones in its own time.
MOST_DRAWS = 500_000


def sample_sheet(name: str, card: dict[str, Any], parameters: LockParameters) -> bytes:
    """A PNG: test images of a data set in a row, and each as the locked model sees it below.

    The key is a new one that nobody has: one image together with its locked twin gives a shuffle
    key away, so an owner's key must never be shown at work. Raises ProtectionError, KeyLockError,
    DatasetError.
    """
    geometry = geometry_of(parameters, card)
    plain, shape = _samples(name), (card["channels"], card["height"], card["width"])
    if plain.shape[1:] != shape:
        raise ProtectionError(
            f"The images of “{name}” have the shape {plain.shape[1:]}, the model takes {shape}.",
            hint="Choose the data set that the model was trained for.",
        )
    if _draws(parameters, geometry.blocks, geometry.positions) > MOST_DRAWS:
        raise ProtectionError(
            "A key with so many tables and orders takes too long to draw on a page.",
            hint="The lock itself can be made; only its picture is missing.",
        )
    key = LockKey.derive(
        secrets.token_bytes(32),
        binding=b"",
        shape=shape,
        classes=card["classes"],
        # One transform is all that is seen.
        parameters=replace(parameters, subkeys=1, labels="plain"),
    )
    of = key.transforms[0]
    # Plainly, because the compiler for large batches has no place in the web process.
    flat = apply_plainly(plain.reshape(len(plain), -1), of.index, of.mask, of.which, of.tables)
    locked = flat.reshape(len(plain), *geometry.keyed_shape)
    return paired_sheet(plain, locked)


def paired_sheet(above: Images, below: Images) -> bytes:
    """A PNG of images in a row, and below each what became of it: uint8 (n, C, H, W) twice."""
    return _png(_row(above, below.shape), _row(below, below.shape))


@lru_cache(maxsize=16)
def _samples(name: str) -> Images:
    return sample_images(datasets.load(name).test).copy()


def sample_images(test: datasets.Split) -> Images:
    """The first test images, of as many classes as there are: (n, C, H, W)."""
    _, firsts = np.unique(test.labels, return_index=True)
    others = np.setdiff1d(np.arange(len(test)), firsts)
    return test.images[[*np.sort(firsts), *others][:COUNT]]


def _draws(parameters: LockParameters, blocks: int, positions: int) -> int:
    """About how many random numbers the key takes."""
    own = blocks if parameters.keys == "block" else 1
    tables = {"shared": 1, "channel": 3, "position": own * positions}[parameters.tables]
    return blocks + 3 * own * positions + (256 * tables if parameters.has(SUBSTITUTE) else 0)


def _row(images: Images, shape: tuple[int, ...]) -> Images:
    """Images side by side with gaps, at the size of the locked ones: (height, width, channels)."""
    _, channels, height, width = shape
    sheet = np.full((channels, height, len(images) * (width + GAP) - GAP), 255, np.uint8)
    for number, image in enumerate(images):
        left = number * (width + GAP)
        sheet[:, : image.shape[1], left : left + image.shape[2]] = image
    return sheet.transpose(1, 2, 0)


def _png(above: Images, below: Images) -> bytes:
    gap = np.full((GAP, *above.shape[1:]), 255, np.uint8)
    sheet = np.concatenate([above, gap, below])
    larger = -(-LEAST_SIDE // above.shape[0])
    sheet = sheet.repeat(larger, axis=0).repeat(larger, axis=1)
    file = io.BytesIO()
    Image.fromarray(sheet[:, :, 0] if sheet.shape[2] == 1 else sheet).save(file, "PNG")
    return file.getvalue()
