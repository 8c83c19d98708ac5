"""Base64, JSON and times, each with exactly one accepted spelling.

A second spelling of the same content would let a file change without its meaning changing, and two
programs could read two things out of one signed file. So every reader here refuses what the writer
beside it would not have written.
"""

import base64
import binascii
import json
import math
import re
from datetime import UTC, datetime
from typing import Any, NoReturn

from spellmark.certificates.errors import FormatError

_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z")


def to_base64(data: bytes) -> str:
    """Standard base64 with padding (RFC 4648, section 4)."""
    return base64.b64encode(data).decode("ascii")


def from_base64(text: str, what: str) -> bytes:
    """Decode standard base64; `what` names it in the error. Raises FormatError."""
    try:
        data = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        raise FormatError(f"{what} is not base64.") from None
    # The last letter may carry unused bits: only the spelling with zeros there is accepted.
    if to_base64(data) != text:
        raise FormatError(f"{what} is not written in the usual form of base64.")
    return data


def to_json(value: Any) -> bytes:
    """Canonical JSON: sorted keys, no spaces, UTF-8. Raises FormatError for NaN and infinities."""
    try:
        text = json.dumps(
            value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
        )
        return text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise FormatError("A value cannot be written as JSON.") from error


def from_json(data: bytes, what: str) -> Any:
    """Read JSON, however it is laid out; `what` names it in the error. Raises FormatError.

    Refuses what programs read differently: duplicate keys, NaN and infinities, numbers beyond a
    double, and halves of surrogate pairs.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise FormatError(f"{what} has the same JSON key twice.")
        return found

    def finite(text: str) -> float:
        number = float(text)
        if not math.isfinite(number):
            refuse(text)
        return number

    def refuse(text: str) -> NoReturn:
        raise FormatError(f"{what} has a number that JSON cannot hold.")

    try:
        value = json.loads(
            data.decode(), object_pairs_hook=unique, parse_float=finite, parse_constant=refuse
        )
    except (ValueError, RecursionError):
        raise FormatError(f"{what} is not JSON.") from None
    try:
        to_json(value)
    except FormatError:
        raise FormatError(f"{what} has text that is not Unicode.") from None
    return value


def from_canonical_json(data: bytes, what: str) -> Any:
    """Read JSON that must be the very bytes `to_json` would write. Raises FormatError."""
    value = from_json(data, what)
    if to_json(value) != data:
        raise FormatError(
            f"{what} is not written as Spellmark writes it: it was altered or laid out anew.",
            hint="Use the file as it was handed over.",
        )
    return value


def to_time(moment: datetime) -> str:
    """RFC 3339 in UTC with the letter Z. Raises FormatError for a time without a zone."""
    if moment.tzinfo is None:
        raise FormatError("A time has no time zone.", hint="Give it in UTC.")
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


def from_time(text: str, what: str) -> datetime:
    """Read RFC 3339 in UTC with the letter Z, to the microsecond. Raises FormatError."""
    try:
        if not _TIME.fullmatch(text):
            raise ValueError
        return datetime.fromisoformat(text)
    except ValueError:
        raise FormatError(f"{what} is not a time such as 2026-01-31T12:00:00Z.") from None
