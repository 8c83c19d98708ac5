"""What the plots of all rooms are made of: places that Python computes for an SVG template."""

from typing import NamedTuple

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


class Tick(NamedTuple):
    """A place on an axis, and what stands there."""

    at: float
    label: str


class Bar(NamedTuple):
    """A rectangle of a histogram."""

    x: float
    y: float
    width: float
    height: float
    in_tail: bool = False


def round_numbers(most: int, *, steps: int) -> list[int]:
    """From 0 up to `most`, in at most `steps` even steps of 1, 2 or 5 times a power of ten."""
    power = 1
    while True:
        for step in (power, 2 * power, 5 * power):
            if most // step <= steps:
                return list(range(0, most + 1, step))
        power *= 10


def power_of_ten(exponent: int) -> str:
    """A power of ten as it is printed, such as 10¹²."""
    return f"10{str(exponent).translate(_RAISED)}"
