"""The model card that a safetensors file carries, so that the file alone can be run."""

import json
import math
import re
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from typing import Any, NoReturn, Self

from spellmark.errors import SpellmarkError
from spellmark.model_files.strict_json import parse_object
from spellmark.model_files.text import is_unicode, shown

METADATA_KEY = "spellmark.card"
CARD_VERSION = 1
MAX_CLASSES = 100_000
MAX_SIDE = 4096
MAX_LABEL_LENGTH = 200
MAX_DESCRIPTION_LENGTH = 10_000
# A config builds Python objects in its reader's process. Real ones stay far below these bounds.
MAX_CONFIG_PARTS = 1_000
MAX_CONFIG_DEPTH = 4
MAX_CONFIG_TEXT_LENGTH = 200
MAX_CONFIG_NUMBER = 2**16

_ARCHITECTURE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_BINDING = re.compile(r"([0-9a-f]{2}){0,64}")
_FIELDS = {
    "architecture", "config", "classes", "channels", "height", "width",
    "label_names", "extra_classes", "binding", "description", "mean", "std",
}  # fmt: skip
# Hardly a card has one of these, and readers from before they were do not know them.
_NEWER = {"extra_classes": 0, "binding": ""}


class ModelCardError(SpellmarkError):
    """A model card that is missing or wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """How to build an image classifier and what to feed it.

    architecture: one of `spellmark.training.architectures`.
    config: what else the architecture asks for, as plain JSON: objects, lists, texts, numbers of
    at most 65,536 either way, true, false and null.
    classes: 2..100000. channels: 1 or 3. height, width: pixels, 1..4096.
    label_names: none, or one for each class.
    extra_classes: how many of the classes, the last ones, no image has: 1 where a prompt lock
    answers so without its spell, else 0.
    binding: of a locked model, the one that its key was opened with, in hex digits; else empty. It
    is public, and whoever unlocks the model needs it.
    mean, std: one number for each channel, for pixels already scaled to [0, 1]; std > 0.
    Left out, they become zeros and ones: no normalisation.

    Raises ModelCardError.
    """

    architecture: str
    classes: int
    channels: int
    height: int
    width: int
    # A dictionary has no hash; the other fields are enough for one.
    config: dict[str, Any] = field(default_factory=dict, hash=False)
    label_names: tuple[str, ...] = ()
    extra_classes: int = 0
    # Not shown: it says nothing of what the model takes or answers.
    binding: str = field(default="", repr=False)
    description: str = ""
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.architecture, str) or not _ARCHITECTURE.fullmatch(self.architecture):
            _refuse("architecture", "a name of letters, digits, dots, dashes and underscores")
        _check_config(self.config)
        object.__setattr__(self, "config", deepcopy(self.config))
        _check_whole("classes", self.classes, 2, MAX_CLASSES)
        if type(self.channels) is not int or self.channels not in (1, 3):
            _refuse("channels", "1 (grey) or 3 (colour)")
        # Two real ones at the least.
        _check_whole("extra_classes", self.extra_classes, 0, min(1, self.classes - 2))
        _check_whole("height", self.height, 1, MAX_SIDE)
        _check_whole("width", self.width, 1, MAX_SIDE)
        self._check_texts()
        object.__setattr__(self, "mean", _per_channel("mean", self.mean, self.channels, 0.0))
        object.__setattr__(self, "std", _per_channel("std", self.std, self.channels, 1.0))
        if min(self.std) <= 0:
            _refuse("std", "greater than 0 in every channel")

    def _check_texts(self) -> None:
        names = self.label_names
        if not isinstance(names, tuple) or len(names) not in (0, self.classes):
            _refuse("label_names", f"empty or a list of {self.classes} names, one for each class")
        if not all(_is_text(name, 1, MAX_LABEL_LENGTH) for name in names):
            _refuse("label_names", f"texts of 1 to {MAX_LABEL_LENGTH} characters")
        if not isinstance(self.binding, str) or not _BINDING.fullmatch(self.binding):
            _refuse("binding", "at most 64 bytes in small hex digits")
        if not _is_text(self.description, 0, MAX_DESCRIPTION_LENGTH):
            _refuse("description", f"a text of at most {MAX_DESCRIPTION_LENGTH:,} characters")

    def to_metadata(self) -> dict[str, str]:
        """The card as safetensors metadata: one key, whose value is JSON."""
        fields = {"version": CARD_VERSION, **asdict(self)}
        for name, usual in _NEWER.items():
            if fields[name] == usual:
                del fields[name]
        return {METADATA_KEY: json.dumps(fields, sort_keys=True, ensure_ascii=False)}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> Self:
        """The card in a safetensors file's metadata.

        Every field but the version must be one that `to_metadata` writes; `extra_classes` and
        `binding` may be left out. Raises ModelCardError.
        """
        if METADATA_KEY not in metadata:
            raise ModelCardError(
                "The file carries no Spellmark model card.",
                hint=f"Save it with ModelCard(…).to_metadata() as its metadata "
                f"(key “{METADATA_KEY}”).",
            )
        try:
            fields = parse_object(metadata[METADATA_KEY].encode(), most_parts=MAX_CLASSES + 10_000)
        except ValueError as error:
            raise ModelCardError(
                f"The model card cannot be read: {error}.",
                hint="Save the file with its card again.",
            ) from error
        if fields.pop("version", None) != CARD_VERSION:
            raise ModelCardError(
                f"The model card is not of version {CARD_VERSION}.",
                hint="Use the Spellmark release that wrote it, or save the card again.",
            )
        fields = {**_NEWER, **fields}
        unknown, missing = fields.keys() - _FIELDS, _FIELDS - fields.keys()
        if unknown or missing:
            what = "lacks" if missing else "has the unknown field"
            name = min(missing or unknown)
            raise ModelCardError(
                f"The model card {what} “{shown(name)}”.", hint="Save the file with its card again."
            )
        for name in ("label_names", "mean", "std"):
            if not isinstance(fields[name], list):
                _refuse(name, "a list")
            fields[name] = tuple(fields[name])
        return cls(**fields)


def _check_config(config: Any) -> None:
    if type(config) is not dict:
        _refuse("config", "an object")
    if _count_parts(config) > MAX_CONFIG_PARTS:
        _refuse("config", f"of at most {MAX_CONFIG_PARTS:,} parts")


def _count_parts(value: Any, depth: int = 1) -> int:
    """How many values are in `value`, itself among them. Refuses what is not plain JSON."""
    if type(value) in (dict, list):
        if depth > MAX_CONFIG_DEPTH:
            _refuse("config", f"nested at most {MAX_CONFIG_DEPTH} deep")
        inner = value
        if type(value) is dict:
            if not all(_is_text(key, 1, MAX_CONFIG_TEXT_LENGTH) for key in value):
                _refuse("config", f"of names of 1 to {MAX_CONFIG_TEXT_LENGTH} characters")
            inner = value.values()
        return 1 + sum(_count_parts(part, depth + 1) for part in inner)
    if type(value) is str:
        if not _is_text(value, 0, MAX_CONFIG_TEXT_LENGTH):
            _refuse("config", f"of texts of at most {MAX_CONFIG_TEXT_LENGTH} characters")
    elif type(value) in (int, float):
        # Written so that NaN is refused too.
        if not abs(value) <= MAX_CONFIG_NUMBER:
            _refuse("config", f"of numbers of at most {MAX_CONFIG_NUMBER:,} either way")
    elif value is not None and type(value) is not bool:
        _refuse("config", "plain JSON")
    return 1


def _per_channel(name: str, values: Any, channels: int, default: float) -> tuple[float, ...]:
    if values == ():
        return (default,) * channels
    if (
        not isinstance(values, tuple)
        or len(values) != channels
        or not all(type(value) in (int, float) and _is_finite(value) for value in values)
    ):
        _refuse(name, f"{channels} finite number(s), one for each channel")
    return tuple(float(value) for value in values)


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond the largest float
        return False


def _is_text(value: Any, least: int, most: int) -> bool:
    return isinstance(value, str) and least <= len(value) <= most and is_unicode(value)


def _check_whole(name: str, value: Any, least: int, most: int) -> None:
    if type(value) is not int or not least <= value <= most:
        _refuse(name, f"a whole number from {least} to {most}")


def _refuse(name: str, wanted: str) -> NoReturn:
    raise ModelCardError(
        f"The model card's {name} is not {wanted}.", hint="Correct it and save the file again."
    )
