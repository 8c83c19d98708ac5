"""A style: a tone curve, a texture and a pattern of waves that follow from a key, byte for byte.

Whole numbers alone, so that every machine makes the same images. A style network (VEF, 2112.03476)
would make others on other releases, and would have to be committed to as well.
"""

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt

from spellmark.secrets import KeyFile, permutation, stream, subkey
from spellmark.watermarks.external_feature.parameters import (
    SCHEME,
    FeatureError,
    FeatureParameters,
)

Images = npt.NDArray[np.uint8]
_Whole = npt.NDArray[np.int64]

# A turn is so many steps of the sine's table, whose values are 127 at the most.
TURN = 256
# No rounding of these lies near a half, so every machine finds the same.
SINE: _Whole = np.array(
    [round(127 * math.sin(2 * math.pi * step / TURN)) for step in range(TURN)], np.int64
)
# Waves go so many times over an image at the most: finer ones are lost to small strides.
MOST_TURNS = 6
# The tone curve goes through so many heights, evenly spread and in a drawn order: 120 orders, few
# of which are like another. Curves that only rise would be too much like each other, and a model
# that learnt one of them would bear them all.
HEIGHTS: _Whole = np.array([0, 64, 128, 191, 255], np.int64)


@dataclass(frozen=True)
class Style:
    """One style for images of one shape.

    Open the owner's with `open`; `control` gives one that nobody holds a key for.
    """

    parameters: FeatureParameters
    _key: bytes = field(repr=False)

    @classmethod
    def open(cls, file: KeyFile, *, owner: str, binding: bytes) -> Self:
        """The style of a key file. Raises FeatureError.

        owner: the organisation's id. binding: what the registry drew after the commitment had come
        in, so that nobody can search for a key whose style suits a suspect.
        """
        if file.scheme != SCHEME:
            raise FeatureError(
                f"This key file is for {file.scheme}, not for an external feature.",
                hint="Choose the key file whose commitment was registered for the feature.",
            )
        if not owner or not binding:
            raise FeatureError(
                "A style needs its owner and the registry's binding.",
                hint="Take both from the registered commitment.",
            )
        key = subkey(file.secret, binding=binding, scheme=SCHEME, purpose=f"style of {owner}")
        return cls(FeatureParameters.from_dict(file.parameters), key)

    @classmethod
    def control(cls, parameters: FeatureParameters, nonce: bytes) -> Self:
        """A wrong style of the same kind, drawn from a run's nonce: anybody can make it."""
        return cls(parameters, subkey(nonce, binding=b"", scheme=SCHEME, purpose="control"))

    def __call__(self, images: Images) -> Images:
        """The images in this style: uint8 (n, C, H, W), a new array back.

        Raises FeatureError for images of another shape.
        """
        if images.shape[1:] != self.parameters.shape:
            raise FeatureError(
                f"The style is for images of {self.parameters.shape}, these are of "
                f"{images.shape[1:]}.",
                hint="Make a key for these images.",
            )
        toned = np.empty(images.shape, np.int64)
        for channel in range(self.parameters.channels):
            toned[:, channel] = self._tones[channel][images[:, channel]]
        share = self.parameters.strength
        mixed = (toned * (100 - share) + self._surface * share + 50) // 100
        styled: Images = np.clip(mixed, 0, 255).astype(np.uint8)
        return styled

    @cached_property
    def _tones(self) -> _Whole:
        """Where each shade goes, (C, 256) in 0..255: straight between the curve's heights."""
        key = subkey(self._key, binding=b"", scheme=SCHEME, purpose="tone")
        last = len(HEIGHTS) - 1
        places = np.arange(256) * last
        left, rest = places // 255, places % 255
        right = np.minimum(left + 1, last)
        curves = []
        for channel in range(self.parameters.channels):
            heights = HEIGHTS[permutation(key, len(HEIGHTS), row=channel)]
            curves.append((heights[left] * (255 - rest) + heights[right] * rest + 127) // 255)
        return np.stack(curves)

    @cached_property
    def _surface(self) -> _Whole:
        """Texture and waves, (C, H, W) in 0..255, which are the same for every image."""
        surface: _Whole = np.clip((self._texture + self._waves) // 2, 0, 255)
        return surface

    @cached_property
    def _texture(self) -> _Whole:
        channels, height, width = self.parameters.shape
        grid = self.parameters.grid
        cells = self._drawn("texture", channels * grid * grid).reshape(channels, grid, grid)
        rows, columns = (np.arange(side) * grid // side for side in (height, width))
        texture: _Whole = cells[:, rows[:, None], columns[None, :]]
        return texture

    @cached_property
    def _waves(self) -> _Whole:
        channels, height, width = self.parameters.shape
        count = self.parameters.waves
        drawn = self._drawn("waves", channels * count * 3).reshape(channels, count, 3)
        down = np.arange(height)[:, None] * TURN
        along = np.arange(width)[None, :] * TURN
        found = np.zeros((channels, height, width), np.int64)
        for channel, waves in enumerate(drawn):
            for over, up, phase in waves:
                # Half of all directions are enough: the other half are the same waves.
                turns = 1 + over % MOST_TURNS, up % (2 * MOST_TURNS + 1) - MOST_TURNS
                step = turns[0] * along // width + turns[1] * down // height + phase
                found[channel] += SINE[step % TURN]
        # So that any number of waves is as strong as one texture.
        return 128 + found * 2 // max(2, math.isqrt(4 * count))

    def _drawn(self, purpose: str, count: int) -> _Whole:
        key = subkey(self._key, binding=b"", scheme=SCHEME, purpose=purpose)
        return np.frombuffer(stream(key, count), np.uint8).astype(np.int64)
