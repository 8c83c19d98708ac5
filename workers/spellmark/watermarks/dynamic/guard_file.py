"""A guard's configuration file: what a prediction server loads. As secret as the key file in it."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, NoReturn, Self

import numpy as np

from spellmark.errors import SpellmarkError
from spellmark.secrets import KeyFile, write_private
from spellmark.watermarks.dynamic.guard import Guard, Thresholds
from spellmark.watermarks.dynamic.mark_key import MarkKey

FORMAT = "spellmark-guard/v1"

MOST_DECIMALS = 15
_CLIENTS = "names, each with hex digits from the registry or nothing"

logger = logging.getLogger(__name__)


class GuardFileError(SpellmarkError):
    """A guard's configuration file that cannot be used."""


@dataclass(frozen=True, kw_only=True, eq=False)
class GuardFile:
    """A key file with all that a guard needs beside it.

    binding: what the registry drew after the commitment, or None where it is not registered.
    thresholds: of the cells, float64 (classes, log2 cells), or None for one cell.
    input_shape: of the inputs that the cells were cut by, or None where that is not known.
    decimals, top_k: how the API shortens its answers, or None.
    clients: the clients that have key bits of their own, by name, each with what the registry drew
    for it, or nothing; all others share one key.
    valid_from, valid_until: the days for which the key is meant, both included, or None.

    Raises GuardFileError.
    """

    key: KeyFile = field(repr=False)
    binding: bytes | None = None
    thresholds: Thresholds | None = field(default=None, repr=False)
    input_shape: tuple[int, ...] | None = None
    decimals: int | None = None
    top_k: int | None = None
    clients: Mapping[str, bytes] = field(default_factory=dict)
    valid_from: date | None = None
    valid_until: date | None = None

    def __post_init__(self) -> None:
        if self.binding == b"":
            _refuse("binding", "hex digits from the registry, or null")
        for name, least, most in (("decimals", 0, MOST_DECIMALS), ("top_k", 1, None)):
            value = getattr(self, name)
            if value is not None and (
                type(value) is not int or value < least or (most is not None and value > most)
            ):
                upper = "up" if most is None else f"to {most}"
                _refuse(name, f"a whole number from {least} {upper}, or null")
        if not all(self.clients):
            _refuse("clients", _CLIENTS)
        if self.valid_from and self.valid_until and self.valid_from > self.valid_until:
            _refuse("days", "in order: valid_from is not after valid_until")

    def guard(self, client: str = "") -> Guard:
        """The guard for one of the clients, or for everybody else. Raises DynamicMarkError."""
        name = client if client in self.clients else ""
        key = MarkKey.open(
            self.key,
            binding=self.binding,
            client=name,
            client_binding=self.clients.get(name, b""),
        )
        return Guard(
            key,
            thresholds=self.thresholds,
            input_shape=self.input_shape,
            decimals=self.decimals,
            top_k=self.top_k,
        )

    def is_valid_on(self, day: date) -> bool:
        """Whether the key is meant for this day."""
        return (self.valid_from or day) <= day <= (self.valid_until or day)

    def dumps(self) -> str:
        """The file's text: one JSON object."""
        told = {
            "format": FORMAT,
            "key": json.loads(self.key.dumps()),
            "binding": None if self.binding is None else self.binding.hex(),
            "thresholds": None if self.thresholds is None else self.thresholds.tolist(),
            "input_shape": None if self.input_shape is None else list(self.input_shape),
            "decimals": self.decimals,
            "top_k": self.top_k,
            "clients": {name: binding.hex() for name, binding in self.clients.items()},
            "valid_from": self.valid_from.isoformat() if self.valid_from else None,
            "valid_until": self.valid_until.isoformat() if self.valid_until else None,
        }
        return json.dumps(told, indent=2) + "\n"

    @classmethod
    def loads(cls, text: str | bytes) -> Self:
        """Read a file's text. Raises GuardFileError or KeyFileError, which never quote the text."""
        # `from None` throughout: a chained JSON error would carry the secret's text along.
        try:
            data = json.loads(text)
        except (ValueError, RecursionError):
            _refuse_whole()
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            _refuse_whole()
        return cls(
            key=KeyFile.loads(json.dumps(data.get("key"))),
            binding=_binding(data.get("binding")),
            thresholds=_thresholds(data.get("thresholds")),
            input_shape=_shape(data.get("input_shape")),
            decimals=data.get("decimals"),
            top_k=data.get("top_k"),
            clients=_clients(data.get("clients")),
            valid_from=_day(data.get("valid_from")),
            valid_until=_day(data.get("valid_until")),
        )

    def save(self, path: Path) -> None:
        """Write a new file readable by its owner only (mode 0600); never overwrites one."""
        try:
            write_private(path, self.dumps())
        except FileExistsError:
            raise GuardFileError(
                f"{path} exists already.", hint="Choose another name, or remove the old file."
            ) from None

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a file from disk. Raises GuardFileError or KeyFileError."""
        try:
            text = path.read_bytes()
        except OSError as error:
            raise GuardFileError(
                f"The guard's file {path} cannot be read: {error.strerror}.", hint="Check the path."
            ) from None
        return cls.loads(text)


class Guards:
    """The guards of one file: `guards(client)`. Each is made once.

    A server may run for months: once a day the log is told if the key is not meant for that day.
    """

    def __init__(self, file: GuardFile) -> None:
        self._file, self._checked = file, date.min
        self._clients = frozenset(file.clients)
        self._guard = lru_cache(maxsize=None)(file.guard)
        # A wrong file stops the server when it starts, not at the first answer.
        self.cells = self._guard("").cells
        self._check_day()

    def __call__(self, client: str = "") -> Guard:
        """The guard of a client; of everybody else where the name is not in the file."""
        self._check_day()
        # Callers choose their names, so only those of the file may fill the cache.
        return self._guard(client if client in self._clients else "")

    def _check_day(self) -> None:
        today = datetime.now(UTC).date()
        if today == self._checked:
            return
        self._checked = today
        if not self._file.is_valid_on(today):
            # A service that stands still helps nobody, and the mark can still be told.
            logger.warning("The guard's key is not meant for today. Make a new guard file.")


def load_guards(file: str | Path | GuardFile | Guards) -> Guards:
    """The guards of a file. Raises SpellmarkError where it cannot be used."""
    if isinstance(file, Guards):
        return file
    return Guards(file if isinstance(file, GuardFile) else GuardFile.load(Path(file)))


def load_guard(file: str | Path, client: str = "") -> Guard:
    """One guard of a file: `load_guard("guard.json")(probabilities)`. Raises SpellmarkError."""
    return load_guards(file)(client)


def _binding(value: Any) -> bytes | None:
    if value is None:
        return None
    try:
        return bytes.fromhex(value)
    except (TypeError, ValueError):
        _refuse("binding", "hex digits from the registry, or null")


def _thresholds(value: Any) -> Thresholds | None:
    if value is None:
        return None
    try:
        table = np.array(value, np.float64)
    except (TypeError, ValueError, OverflowError):
        table = np.empty(0)
    if table.ndim != 2 or not np.isfinite(table).all():
        _refuse("thresholds", "a row of numbers for each class, or null")
    return table


def _shape(value: Any) -> tuple[int, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not all(type(side) is int and side > 0 for side in value):
        _refuse("input_shape", "the sides of one input, or null")
    return tuple(value)


def _clients(value: Any) -> dict[str, bytes]:
    try:
        return {name: bytes.fromhex(binding) for name, binding in value.items()}
    except (AttributeError, TypeError, ValueError):
        _refuse("clients", _CLIENTS)


def _day(value: Any) -> date | None:
    if value is None:
        return None
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        _refuse("days", "written like 2026-01-31, or null")


def _refuse(what: str, wanted: str) -> NoReturn:
    verb = "are" if what.endswith("s") else "is"
    raise GuardFileError(
        f"A guard file's {what.replace('_', ' ')} {verb} {wanted}.",
        hint="Make the file anew with “spellmark guard new”.",
    ) from None


def _refuse_whole() -> NoReturn:
    raise GuardFileError(
        "This is not a Spellmark guard file.", hint="Make one with “spellmark guard new”."
    ) from None
