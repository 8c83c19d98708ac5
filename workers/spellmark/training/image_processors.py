"""What a model does to its images first, as transformers' image processors write it."""

import math
from collections.abc import Mapping
from typing import Any

from spellmark.training.errors import ImportFolderError

# Steps that a mean and a deviation for each channel cannot express.
_OTHER_STEPS = ("do_flip_channel_order", "rescale_offset", "include_top")


def image_size(settings: Mapping[str, Any]) -> tuple[int, int]:
    """The height and width, in pixels, of the images that reach the model.

    Raises ImportFolderError.
    """
    size = settings.get("crop_size") if settings.get("do_center_crop") else settings.get("size")
    match size:
        case int():
            return size, size
        case {"height": int(height), "width": int(width)}:
            return height, width
        # Older processors cut a square of this side out of the middle.
        case {"shortest_edge": int(side)}:
            return side, side
    raise ImportFolderError(
        "The image processor does not say the size of the images.",
        hint="Give its preprocessor_config.json a “size” with “height” and “width”.",
    )


def normalisation(
    settings: Mapping[str, Any], channels: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The mean and the standard deviation of each channel, for pixels scaled to [0, 1].

    A processor may scale its pixels to another range; that is made part of both.

    Raises ImportFolderError.
    """
    if other := [step for step in _OTHER_STEPS if settings.get(step)]:
        raise ImportFolderError(
            f"The image processor does more than normalise each channel: it has “{other[0]}” on.",
            hint="Such a model cannot be imported; take one of another architecture.",
        )
    mean, std = (0.0,) * channels, (1.0,) * channels
    if settings.get("do_normalize", "image_mean" in settings):
        mean, std = tuple(settings["image_mean"]), tuple(settings["image_std"])
    span = (
        255 * settings.get("rescale_factor", 1 / 255) if settings.get("do_rescale", True) else 255
    )
    if math.isclose(span, 1):
        return mean, std
    return tuple(value / span for value in mean), tuple(value / span for value in std)
