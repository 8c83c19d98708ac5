"""What an external feature promises: the public part of a style, which the commitment fixes.

No numpy here: the dashboard reads it too.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, NoReturn, Self

from spellmark.errors import SpellmarkError
from spellmark.locks.fields import check_fields

SCHEME = "external-feature/v1"

MOST_CLASSES = 10_000
MOST_SIDE = 4096
MOST_GRID = 32
MOST_WAVES = 32

USUAL_STRENGTH, USUAL_GRID, USUAL_WAVES = 50, 7, 6


class FeatureError(SpellmarkError):
    """Parameters, a key or a model that no external feature can be made of."""


@dataclass(frozen=True, kw_only=True)
class FeatureParameters:
    """An external feature's public part.

    classes, channels, height, width: of the model and its images; 1 or 3 channels.
    strength: how much of an image the style takes, in percent, 10 to 90.
    grid: the style's texture is so many cells high and wide.
    waves: so many waves make its pattern, each a pair of points in the Fourier domain.

    Raises FeatureError.
    """

    classes: int
    channels: int
    height: int
    width: int
    strength: int = USUAL_STRENGTH
    grid: int = USUAL_GRID
    waves: int = USUAL_WAVES

    def __post_init__(self) -> None:
        for name, least, most in (
            ("classes", 2, MOST_CLASSES),
            ("height", 8, MOST_SIDE),
            ("width", 8, MOST_SIDE),
            ("strength", 10, 90),
            ("grid", 2, MOST_GRID),
            ("waves", 1, MOST_WAVES),
        ):
            value = getattr(self, name)
            if type(value) is not int or not least <= value <= most:
                _refuse(name, f"a whole number from {least} to {most}")
        if type(self.channels) is not int or self.channels not in (1, 3):
            _refuse("channels", "1 or 3")
        if self.grid > min(self.height, self.width):
            _refuse("grid", f"at most a side of the images, {min(self.height, self.width)}")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of an image: channels, height, width."""
        return self.channels, self.height, self.width

    def as_dict(self) -> dict[str, int | str]:
        """The parameters as a key file and a commitment hold them."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `as_dict` gave; every field must be there. Raises FeatureError."""
        check_fields(cls, values, lock="external feature", error=FeatureError)
        return cls(**values)


def recommended(classes: int, channels: int, height: int, width: int) -> FeatureParameters:
    """The parameters for a model with such images and classes."""
    grid = min(USUAL_GRID, height, width)
    return FeatureParameters(
        classes=classes, channels=channels, height=height, width=width, grid=grid
    )


def _refuse(name: str, wanted: str) -> NoReturn:
    raise FeatureError(
        f"An external feature's {name} is {wanted}.", hint="Correct it and try again."
    )
