"""What a key lock does to an image, without its key: the public part, fixed by the commitment."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from spellmark.errors import SpellmarkError
from spellmark.locks.fields import check_fields

SCHEME = "key-lock/v1"

SCRAMBLE, SHUFFLE, FLIP, SUBSTITUTE = STEPS = ("scramble", "shuffle", "flip", "substitute")
MOST_SUBKEYS = 32
MOST_USUAL_SUBKEYS = 5

# Of the orders of fewer blocks a key would leave them as they are once in 5,040 times or more
# often, and a thief would try them all.
LEAST_SCRAMBLED = 8

# An architecture takes any size that leaves it the same grid after its poolings, which divide the
# sides by this. One that is not named takes its own size alone.
POOLED_BY = {"small-cnn": 4, "small-resnet": 4}

_CHOICES = {
    "tables": ("shared", "channel", "position"),
    "keys": ("shared", "block"),
    "padding": ("none", "edge"),
    "labels": ("keyed", "plain"),
}


class KeyLockError(SpellmarkError):
    """Parameters or images that a key lock cannot work with."""


@dataclass(frozen=True, kw_only=True)
class LockParameters:
    """How images are transformed under a key.

    block: side of a block in pixels, 2 or more.
    steps: what is done, joined by plus signs, in the order of STEPS: `scramble` moves whole blocks,
    `shuffle` the values inside a block, `flip` inverts chosen values (v becomes 255 - v),
    `substitute` replaces chosen values by a keyed table. Another order would describe the same
    transforms under other keys, so there is only this one.
    masked: the share of a block's values that flip, and substitute, choose, in percent, 1 to 100.
    tables: one substitution table for all values, one for each channel or one for each position.
    keys: whether all blocks share the key (as published) or each position of a block has its own.
    padding: what happens to sizes that do not divide: `none` refuses, `edge` repeats the last row
    and column.
    labels: whether the lock's answers are permuted by the key too.
    subkeys: how many sub-keys share the lock, each with a transform and a permutation of its own.

    Raises KeyLockError.
    """

    block: int
    steps: str
    masked: int = 50
    tables: str = "shared"
    keys: str = "shared"
    padding: str = "none"
    labels: str = "keyed"
    subkeys: int = 1

    def __post_init__(self) -> None:
        _check_whole("block", self.block, 2, 4096)
        _check_whole("masked", self.masked, 1, 100)
        _check_whole("subkeys", self.subkeys, 1, MOST_SUBKEYS)
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise KeyLockError(
                    f"A key lock's {name} cannot be “{getattr(self, name)}”.",
                    hint=f"Choose one of: {', '.join(choices)}.",
                )
        if not isinstance(self.steps, str) or self.steps not in _ALL_STEPS:
            raise KeyLockError(
                f"A key lock cannot do “{self.steps}”.",
                hint=f"Join one or more of {', '.join(STEPS)} by plus signs, in this order.",
            )

    def has(self, step: str) -> bool:
        """Whether this step is done."""
        return step in self.steps.split("+")

    def touched(self, geometry: "Geometry") -> int:
        """How many of a block's values flip, and substitute, choose."""
        return max(1, geometry.positions * self.masked // 100)

    def geometry(self, shape: tuple[int, int, int]) -> "Geometry":
        """How the blocks lie in images of `shape` (channels, height, width).

        Raises KeyLockError where they do not fit, or where there is nothing for the key to change.
        """
        geometry = Geometry(*shape, self.block, self.padding)
        if self.steps == SCRAMBLE and geometry.blocks < LEAST_SCRAMBLED:
            blocks = "1 block" if geometry.blocks == 1 else f"{geometry.blocks} blocks"
            raise KeyLockError(
                f"Moving {blocks} about, and nothing else, does not lock a model.",
                hint=f"Choose smaller blocks, so that there are {LEAST_SCRAMBLED} or more, or add "
                "another step.",
            )
        return geometry

    def as_dict(self) -> dict[str, int | str]:
        """The parameters as a key file and a commitment hold them."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `as_dict` gave; every field must be there. Raises KeyLockError."""
        check_fields(cls, values, lock="key lock", error=KeyLockError)
        return cls(**values)


def _subsets() -> frozenset[str]:
    return frozenset(
        "+".join(step for number, step in enumerate(STEPS) if chosen >> number & 1)
        for chosen in range(1, 1 << len(STEPS))
    )


_ALL_STEPS = _subsets()


def _check_whole(name: str, value: Any, least: int, most: int) -> None:
    if type(value) is not int or not least <= value <= most:
        raise KeyLockError(
            f"A key lock's {name} is a whole number from {least} to {most}, not {value!r}."[:200],
            hint="Correct it and try again.",
        )


@dataclass(frozen=True)
class Geometry:
    """The size of the images and of the blocks into which they are cut, in pixels.

    With `padding` "edge", sizes that do not divide grow to the next that do. Raises KeyLockError.
    """

    channels: int
    height: int
    width: int
    block: int
    padding: str = "none"

    def __post_init__(self) -> None:
        if min(self.shape) < 1:
            raise KeyLockError(
                f"There are no images of {self.channels} channels and {self.height}×{self.width} "
                "pixels.",
                hint="Give (channels, height, width), each 1 or more.",
            )
        if self.block < 2:
            raise KeyLockError(
                f"A block of {self.block} pixels cannot be shuffled.", hint="Use 2 or more."
            )
        if self.padding == "none" and (self.height % self.block or self.width % self.block):
            raise KeyLockError(
                f"Images of {self.height}×{self.width} pixels do not divide into blocks of "
                f"{self.block}.",
                hint=f"Choose a block that divides both: {self._divisors()}.",
            )

    def _divisors(self) -> str:
        smaller = min(self.height, self.width)
        common = [m for m in range(2, smaller + 1) if not (self.height % m or self.width % m)]
        return ", ".join(map(str, common)) or "there is none, so resize or pad the images"

    @property
    def positions(self) -> int:
        """How many values a block holds: channels × block × block."""
        return self.channels * self.block * self.block

    @property
    def rows(self) -> int:
        """Blocks from top to bottom."""
        return -(-self.height // self.block)

    @property
    def columns(self) -> int:
        """Blocks from left to right."""
        return -(-self.width // self.block)

    @property
    def blocks(self) -> int:
        """Blocks in all."""
        return self.rows * self.columns

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape of an image: (channels, height, width)."""
        return self.channels, self.height, self.width

    @property
    def keyed_shape(self) -> tuple[int, int, int]:
        """The shape of a transformed image, which padding makes larger."""
        return self.channels, self.rows * self.block, self.columns * self.block


def lock_geometry(
    parameters: LockParameters, shape: tuple[int, int, int], architecture: str
) -> Geometry:
    """How the blocks lie in the images of a model of this architecture.

    Raises KeyLockError as `LockParameters.geometry` does, and for padding that the model does not
    take.
    """
    geometry = parameters.geometry(shape)
    pooled, own, padded = POOLED_BY.get(architecture, 1), shape[1:], geometry.keyed_shape[1:]
    if any(a // pooled != b // pooled for a, b in zip(own, padded, strict=True)):
        raise KeyLockError(
            f"Padding makes the images {padded[0]}×{padded[1]} pixels, and a {architecture} for "
            f"{own[0]}×{own[1]} does not take those.",
            hint="Choose a block that divides the images, or train the model on larger ones.",
        )
    return geometry


def default_parameters(height: int, width: int, channels: int, classes: int) -> LockParameters:
    """The lock that is recommended for images of this size. Raises KeyLockError.

    Blocks of 4 pixels as in the papers (2103.03525), or the nearest size that divides the image,
    shuffled with a key of its own for every block: of the variants that keep their accuracy, the
    one with the largest key space (see benchmarks/key_lock_accuracy.py).
    With few classes several sub-keys share the lock, so that an exact claim can still reach 1e-6.
    """
    sizes = [m for m in range(2, min(height, width) + 1) if not (height % m or width % m)]
    if not sizes:
        Geometry(channels, height, width, 2)  # says what is wrong
    block = min(sizes, key=lambda size: (abs(size - 4), size))
    return LockParameters(block=block, steps="shuffle", keys="block", subkeys=subkeys_for(classes))


def subkeys_for(classes: int) -> int:
    """The fewest sub-keys with which an exact claim from keyed labels reaches p = 1e-6; at most 5.

    Each brings a factor of 1 / classes!, and each costs accuracy. Five are not enough for two
    classes, which reach 1 / 32, and for three, which reach 1 / 7776: their stronger claims rest on
    decoy keys.
    """
    return next(
        (n for n in range(1, MOST_USUAL_SUBKEYS) if math.factorial(classes) ** n >= 10**6),
        MOST_USUAL_SUBKEYS,
    )
