"""What a trigger watermark promises before anything is drawn: the part that the commitment fixes.

No numpy here: the dashboard reads it too.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, NoReturn, Self

from spellmark.errors import SpellmarkError
from spellmark.locks.fields import check_fields

SCHEME = "trigger-watermark/v1"

MOST_CLASSES = 10_000
MOST_SIDE = 4096
LEAST_TRIGGERS, MOST_TRIGGERS = 16, 4096
MOST_QUERIES = 256
LEAST_DIGITS, MOST_DIGITS = 2, 12
MOST_GRID = 32

USUAL_TRIGGERS, USUAL_QUERIES, USUAL_DIGITS, USUAL_GRID = 256, 64, 6, 7


class TriggerMarkError(SpellmarkError):
    """Parameters, a key or a model that no trigger watermark can be made of."""


@dataclass(frozen=True, kw_only=True)
class TriggerParameters:
    """A trigger watermark's public part, decision rule included.

    classes, channels, height, width: of the model and its images; 1 or 3 channels.
    triggers: how many there are in all: the reserve that disputes open, 16 to 4096.
    queries: the most that one run opens, and so the most that it asks.
    digits: the false-positive rate of all claims under the key together is 10 to the minus digits.
    grid: a trigger image is so many cells high and wide, each of one random shade.

    Raises TriggerMarkError.
    """

    classes: int
    channels: int
    height: int
    width: int
    triggers: int = USUAL_TRIGGERS
    queries: int = USUAL_QUERIES
    digits: int = USUAL_DIGITS
    grid: int = USUAL_GRID

    def __post_init__(self) -> None:
        for name, least, most in (
            ("classes", 2, MOST_CLASSES),
            ("height", 4, MOST_SIDE),
            ("width", 4, MOST_SIDE),
            ("triggers", LEAST_TRIGGERS, MOST_TRIGGERS),
            ("queries", 1, MOST_QUERIES),
            ("digits", LEAST_DIGITS, MOST_DIGITS),
            ("grid", 4, MOST_GRID),
        ):
            value = getattr(self, name)
            if type(value) is not int or not least <= value <= most:
                _refuse(name, f"a whole number from {least} to {most}")
        if type(self.channels) is not int or self.channels not in (1, 3):
            _refuse("channels", "1 or 3")
        if self.queries > self.triggers:
            _refuse("queries", f"at most its triggers, {self.triggers}")
        if self.grid > min(self.height, self.width):
            _refuse("grid", f"at most a side of the images, {min(self.height, self.width)}")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of an image: channels, height, width."""
        return self.channels, self.height, self.width

    @property
    def alpha(self) -> float:
        """The registered false-positive rate."""
        return float(f"1e-{self.digits}")

    def as_dict(self) -> dict[str, int | str]:
        """The parameters as a key file and a commitment hold them."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `as_dict` gave; every field must be there. Raises TriggerMarkError."""
        check_fields(cls, values, lock="trigger watermark", error=TriggerMarkError)
        return cls(**values)


def recommended(classes: int, channels: int, height: int, width: int) -> TriggerParameters:
    """The parameters for a model with such images and classes."""
    grid = min(USUAL_GRID, height, width)
    return TriggerParameters(
        classes=classes, channels=channels, height=height, width=width, grid=grid
    )


def _refuse(name: str, wanted: str) -> NoReturn:
    raise TriggerMarkError(
        f"A trigger watermark's {name} is {wanted}.", hint="Correct it and try again."
    )
