"""How a guard changes answers, without its key: the public part, fixed by the commitment."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, NoReturn, Self

from spellmark.errors import SpellmarkError
from spellmark.locks.fields import check_fields

SCHEME = "dynamic-watermark/v1"

MOST_CLASSES = 100_000
MOST_STRENGTH = 300
MOST_CELLS = 64
MOST_LABEL_MARGIN = 500
# So many bits are worth reading: 2**-64 is far below any false-positive rate that is asked for.
ENOUGH_BITS = 64


class DynamicMarkError(SpellmarkError):
    """Parameters, answers or inputs that a guard cannot work with."""


@dataclass(frozen=True, kw_only=True)
class MarkParameters:
    """How answers are marked.

    classes: of the model, 2 or more.
    strength: the probability mass that the key moves in each answer, in thousandths, 1 to 300.
    cells: into how many parts the inputs of each class are cut, each with key bits of its own; a
    power of two. Few classes need many cells to hold a key; more cells than needed weaken the mark.
    label_margin: answers whose two best classes are closer than this, in hundredths of a
    log-odds unit, may have the two exchanged: the label channel. 0 leaves all labels as they are.

    Raises DynamicMarkError.
    """

    classes: int
    strength: int = 50
    cells: int = 1
    label_margin: int = 0

    def __post_init__(self) -> None:
        for name, least, most in (
            ("classes", 2, MOST_CLASSES),
            ("strength", 1, MOST_STRENGTH),
            ("cells", 1, MOST_CELLS),
            ("label_margin", 0, MOST_LABEL_MARGIN),
        ):
            value = getattr(self, name)
            if type(value) is not int or not least <= value <= most:
                _refuse(name.replace("_", " "), f"a whole number from {least} to {most}")
        if self.cells & (self.cells - 1):
            _refuse("cells", "a power of two")

    @property
    def tail_bits(self) -> int:
        """The key's bits that stand in the probabilities."""
        return self.cells * self.classes * (self.classes - 1)

    @property
    def label_bits(self) -> int:
        """The key's bits that stand in the labels."""
        return self.tail_bits // 2 if self.label_margin else 0

    def as_dict(self) -> dict[str, int | str]:
        """The parameters as a key file and a commitment hold them."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `as_dict` gave; every field must be there. Raises DynamicMarkError."""
        check_fields(cls, values, lock="guard", error=DynamicMarkError)
        return cls(**values)


def recommended(classes: int) -> MarkParameters:
    """The parameters for a model of so many classes: as few cells as hold a whole key."""
    cells = 1
    while cells < MOST_CELLS and cells * classes * (classes - 1) < ENOUGH_BITS:
        cells *= 2
    return MarkParameters(classes=classes, cells=cells)


def _refuse(name: str, wanted: str) -> NoReturn:
    raise DynamicMarkError(f"A guard's {name} is {wanted}.", hint="Correct it and try again.")
