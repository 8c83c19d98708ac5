"""The options of a key lock in plain words: what each buys and what it costs."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from protection.services import geometry_of
from spellmark.errors import SpellmarkError
from spellmark.locks.key_lock.parameters import (
    FLIP,
    MOST_SUBKEYS,
    SCRAMBLE,
    SHUFFLE,
    STEPS,
    SUBSTITUTE,
    KeyLockError,
    LockParameters,
    default_parameters,
)

CHOICE, CHOICES, NUMBER = "radio", "checkbox", "number"
# Sides that are offered with padding, where they do not divide the image.
COMMON_BLOCKS = (2, 4, 8, 16)


@dataclass(frozen=True)
class Choice:
    """One value that an option can have."""

    value: int | str
    label: str
    help: str
    is_chosen: bool = False
    is_recommended: bool = False


@dataclass(frozen=True)
class Option:
    """A parameter of the lock as a form shows it. `choices` is empty for a number."""

    name: str
    label: str
    kind: str
    help: str = ""
    choices: tuple[Choice, ...] = ()
    value: int = 0
    least: int = 0
    most: int = 0
    unit: str = ""


STEP_WORDS = {
    SCRAMBLE: (
        "Move whole blocks",
        "Blocks change places. Hides what stands where, and costs the most accuracy in networks "
        "that look at neighbourhoods, as convolutions do.",
    ),
    SHUFFLE: (
        "Shuffle the values in a block",
        "The published lock. Cheap to learn in small blocks, dearer in large ones.",
    ),
    FLIP: (
        "Flip chosen values",
        "Chosen values turn into their negative. Of the published steps it cost the least "
        "accuracy in our measurements.",
    ),
    SUBSTITUTE: (
        "Substitute chosen values",
        "Chosen values are looked up in a keyed table. The hardest to undo and the hardest to "
        "learn: expect to lose accuracy, or bring many images.",
    ),
}
TABLE_WORDS = {
    "shared": ("One table", "The least to learn, and the least for a thief to find."),
    "channel": ("One for each channel", "Three times as much to find in colour images."),
    "position": (
        "One for each position",
        "The most to find. The model learns every position by itself, which takes many images.",
    ),
}
KEY_WORDS = {
    "shared": (
        "Shared by all blocks",
        "As published. What a thief learns of one block holds for all of them.",
    ),
    "block": (
        "Each block its own",
        "As many secrets as there are blocks. Costs a little accuracy, because what the model "
        "learns of one block is no help in the next.",
    ),
}
LABEL_WORDS = {
    "keyed": (
        "Keyed",
        "The key also permutes the classes, and its holders undo that. Costs nothing, makes stolen "
        "answers useless as they are, and lets a few dozen answers prove a copy.",
    ),
    "plain": (
        "Plain",
        "The model answers with the true classes. Proving a copy then takes decoy keys and many "
        "more questions.",
    ),
}
PADDING_WORDS = {
    "none": ("None", "The blocks have to divide the images."),
    "edge": (
        "Repeat the edge",
        "The last row and column are repeated until the blocks divide. Costs a little computing.",
    ),
}
MASKED_HELP = (
    "Of the values in a block, how many flip and substitute choose. Half leaves a thief the most "
    "to guess; less is easier to learn."
)
SUBKEYS_HELP = (
    "Each has a transform and a permutation of the classes of its own. With few classes one "
    "permutation is met by chance too often (two classes have only two), so several share the "
    "lock; each further one costs some accuracy."
)


def recommended(card: Mapping[str, Any]) -> LockParameters:
    """The lock that is preselected for a model. Raises SpellmarkError where none fits."""
    height, width, channels, classes = (
        card[name] for name in ("height", "width", "channels", "classes")
    )
    try:
        return default_parameters(height, width, channels, classes)
    except KeyLockError:
        # No block divides these sides, but one divides four times them: all else stays the same.
        like = default_parameters(4 * height, 4 * width, channels, classes)
        for block in COMMON_BLOCKS:
            padded = replace(like, block=block, padding="edge")
            if _fits(padded, card):
                return padded
        raise


def options(card: Mapping[str, Any], chosen: LockParameters) -> list[Option]:
    """What may be chosen for a model, with what is chosen and what is recommended marked."""
    best = recommended(card)

    def choice(name: str, label: str, words: Mapping[str, tuple[str, str]]) -> Option:
        return Option(
            name,
            label,
            CHOICE,
            choices=tuple(
                Choice(value, *told, value == getattr(chosen, name), value == getattr(best, name))
                for value, told in words.items()
            ),
        )

    return [
        Option("block", "Size of the blocks", CHOICE, choices=_blocks(card, chosen, best)),
        Option(
            "steps",
            "What the key does to an image",
            CHOICES,
            choices=tuple(
                Choice(step, *STEP_WORDS[step], chosen.has(step), best.has(step)) for step in STEPS
            ),
        ),
        Option(
            "masked", "Share of values that flip and substitute", NUMBER, MASKED_HELP,
            value=chosen.masked, least=1, most=100, unit="%",
        ),
        choice("tables", "Tables for substituting", TABLE_WORDS),
        choice("keys", "Keys of the blocks", KEY_WORDS),
        choice("labels", "Answers of the locked model", LABEL_WORDS),
        Option(
            "subkeys", "Sub-keys", NUMBER, SUBKEYS_HELP,
            value=chosen.subkeys, least=1, most=MOST_SUBKEYS,
        ),
        choice("padding", "Padding", PADDING_WORDS),
    ]  # fmt: skip


def describe(parameters: LockParameters, card: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """The lock in words: what, which, and what it means."""
    told = [
        (
            "Blocks",
            f"{parameters.block} × {parameters.block} pixels",
            _blocks_help(parameters, card),
        )
    ]
    told += [
        (f"Step {number}", *STEP_WORDS[step])
        for number, step in enumerate(filter(parameters.has, STEPS), 1)
    ]
    if parameters.has(FLIP) or parameters.has(SUBSTITUTE):
        told.append(("Chosen values", f"{parameters.masked} % of a block", ""))
    if parameters.has(SUBSTITUTE):
        told.append(("Tables", *TABLE_WORDS[parameters.tables]))
    told.append(("Keys", *KEY_WORDS[parameters.keys]))
    told.append(("Answers", *LABEL_WORDS[parameters.labels]))
    if parameters.subkeys > 1:
        told.append(("Sub-keys", str(parameters.subkeys), SUBKEYS_HELP))
    if parameters.padding != "none":
        told.append(("Padding", *PADDING_WORDS[parameters.padding]))
    return told


def in_short(parameters: LockParameters) -> str:
    """The lock in one line, such as “shuffle + flip in blocks of 4 pixels, keyed labels”."""
    parts = [f"{parameters.steps.replace('+', ' + ')} in blocks of {parameters.block} pixels"]
    if parameters.keys == "block":
        parts.append("a key for each block")
    parts.append(f"{parameters.labels} labels")
    if parameters.subkeys > 1:
        parts.append(f"{parameters.subkeys} sub-keys")
    return ", ".join(parts)


def keygen_command(parameters: LockParameters, card: Mapping[str, Any]) -> str:
    """What makes the same key on the owner's own machine."""
    image = " ".join(
        f"--{name} {card[name]}" for name in ("height", "width", "channels", "classes")
    )
    lock = " ".join(f"--{name} {value}" for name, value in parameters.as_dict().items())
    return f"spellmark keygen NAME.spellkey {image} {lock}"


def read(
    values: Mapping[str, str], steps: Sequence[str], default: LockParameters
) -> LockParameters:
    """The options as a form sends them; what is missing is as recommended. Raises KeyLockError."""
    found: dict[str, Any] = default.as_dict()
    for name, value in values.items():
        if name in found:
            is_number = isinstance(found[name], int) and re.fullmatch("[0-9]{1,9}", value)
            found[name] = int(value) if is_number else value
    if "block" in values:  # the form was sent: no tick is no step
        found["steps"] = "+".join(step for step in STEPS if step in steps)
    return LockParameters.from_dict(found)


def _blocks(
    card: Mapping[str, Any], chosen: LockParameters, best: LockParameters
) -> tuple[Choice, ...]:
    largest = max(card["height"], card["width"])
    # What is told of a size depends on whether the blocks share a key.
    like = replace(best, keys=chosen.keys)
    plain, edged = replace(like, padding="none"), replace(like, padding="edge")
    sizes = [m for m in range(2, largest + 1) if _fits(replace(plain, block=m), card)]
    padded = [m for m in COMMON_BLOCKS if _fits(replace(edged, block=m), card) and m not in sizes]
    return tuple(
        Choice(
            m,
            f"{m} pixels",
            _blocks_help(replace(edged, block=m), card)
            + (" Needs padding." if m in padded else ""),
            m == chosen.block,
            m == best.block,
        )
        for m in sorted([*sizes, *padded])
    )


def _blocks_help(parameters: LockParameters, card: Mapping[str, Any]) -> str:
    geometry = geometry_of(parameters, card)
    blocks, values = geometry.blocks, geometry.positions
    told = f"{blocks} {'block' if blocks == 1 else 'blocks'} of {values} values."
    keyed = blocks if parameters.keys == "block" else 1
    if keyed * math.log2(math.factorial(min(values, 20))) < 32:
        return f"{told} So few orders of them that a thief can try them all."
    if blocks == 1:
        return f"{told} Nothing keeps its place, which costs the most accuracy."
    if blocks <= 4:
        return f"{told} Hard to undo without the key, and dear in accuracy."
    return f"{told} The smaller, the more accurate with the key and the easier to undo without."


def _fits(parameters: LockParameters, card: Mapping[str, Any]) -> bool:
    try:
        geometry_of(parameters, card)
    except SpellmarkError:
        return False
    return True
