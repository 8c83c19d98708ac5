"""Reading the fields of a JSON object, each with its type, its range and a clear refusal."""

import math
import re
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any, TypeVar

from spellmark.certificates.encoding import from_time
from spellmark.certificates.errors import FormatError

T = TypeVar("T")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_HEX = re.compile(r"([0-9a-f]{2})+")


class Fields:
    """A JSON object being read. Every method takes a field's name and raises FormatError."""

    def __init__(self, value: Any, what: str) -> None:
        if not isinstance(value, dict):
            raise FormatError(f"{what} is not a JSON object.")
        self.values: dict[str, Any] = value
        self.what = what

    def only(self, names: Collection[str]) -> None:
        """Refuse fields of other names: for files where an unread field could matter."""
        if unknown := self.values.keys() - set(names):
            raise FormatError(f"{self.what} has an unknown field {min(unknown)!r}.")

    def raw(self, name: str) -> Any:
        if name not in self.values:
            raise FormatError(f"{self.what} lacks the field {name!r}.")
        return self.values[name]

    def wrong(self, name: str, expected: str) -> FormatError:
        return FormatError(f"The field {name!r} of {_inside(self.what)} is not {expected}.")

    def or_none(self, read: Callable[[str], T], name: str) -> T | None:
        """The field, or None where it is null or absent."""
        return None if self.values.get(name) is None else read(name)

    def text(self, name: str) -> str:
        value = self.raw(name)
        if not isinstance(value, str) or not value:
            raise self.wrong(name, "a text")
        return value

    def choice(self, name: str, choices: Collection[str]) -> str:
        value = self.raw(name)
        if not isinstance(value, str) or value not in choices:
            raise self.wrong(name, "one of " + ", ".join(choices))
        return value

    def count(self, name: str) -> int:
        """A whole number from 0."""
        value = self.raw(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise self.wrong(name, "a whole number from 0")
        return value

    def number(self, name: str) -> float:
        value = self.raw(name)
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise self.wrong(name, "a number")
        try:
            return float(value)
        except OverflowError:
            raise self.wrong(name, "a number of ordinary size") from None

    def probability(self, name: str) -> float:
        value = self.number(name)
        if not (math.isfinite(value) and 0 <= value <= 1):
            raise self.wrong(name, "a number from 0 to 1")
        return value

    def sha256(self, name: str) -> str:
        """64 lowercase hex digits."""
        value = self.raw(name)
        if not isinstance(value, str) or not _SHA256.fullmatch(value):
            raise self.wrong(name, "a SHA-256 digest in lowercase hex")
        return value

    def hex(self, name: str) -> str:
        value = self.raw(name)
        if not isinstance(value, str) or not _HEX.fullmatch(value):
            raise self.wrong(name, "lowercase hex")
        return value

    def time(self, name: str) -> datetime:
        return from_time(self.text(name), f"The field {name!r} of {_inside(self.what)}")

    def object(self, name: str) -> dict[str, Any]:
        value = self.raw(name)
        if not isinstance(value, dict):
            raise self.wrong(name, "a JSON object")
        return value

    def array(self, name: str) -> list[Any]:
        value = self.raw(name)
        if not isinstance(value, list):
            raise self.wrong(name, "a list")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        values = self.array(name)
        if not all(isinstance(value, str) for value in values):
            raise self.wrong(name, "a list of texts")
        return tuple(values)


def _inside(what: str) -> str:
    """`what` as it reads inside a sentence."""
    return what[0].lower() + what[1:]
