"""JSON as RFC 8259 has it, read from bytes that strangers wrote."""

import json
from collections.abc import Callable
from typing import Any, NoReturn

from spellmark.model_files.text import shown


def parse_object(
    data: bytes, *, most_parts: int, parse_int: Callable[[str], int] | None = None
) -> dict[str, Any]:
    """The JSON object in `data`, with no room for a second reading of it.

    Refuses, at any depth, what Python's parser lets through and others read differently:
    duplicate keys, NaN and Infinity, lone surrogates. `most_parts` bounds the objects, arrays
    and members, and so the memory, before anything is built.

    Raises ValueError whose text completes “it cannot be read: …”.
    """
    if sum(data.count(mark) for mark in (b"{", b"[", b",")) > most_parts:
        raise ValueError(f"it has more than {most_parts:,} parts")
    try:
        value = json.loads(
            data.decode(),
            object_pairs_hook=_object,
            parse_constant=_refuse_constant,
            parse_int=parse_int,
        )
        if b"\\u" in data:
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 at byte {error.start:,}") from error
    except UnicodeEncodeError as error:
        raise ValueError("it has half of a surrogate pair, which is no character") from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON at character {error.pos:,}") from error
    if not isinstance(value, dict):
        raise ValueError("it is not a JSON object")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key “{shown(key)}” stands twice in it")
        found[key] = value
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"it has {name}, which is not JSON")
