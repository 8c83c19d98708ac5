"""An opened mark key: signs for classes, and the cells that inputs are cut into."""

import hashlib
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Self

import numpy as np
import numpy.typing as npt

from spellmark.secrets import KeyFile, stream, subkey
from spellmark.watermarks.dynamic.parameters import SCHEME, DynamicMarkError, MarkParameters

Signs = npt.NDArray[np.int8]

# Images are looked at in so many rows and columns of areas: a pixel more or less changes nothing.
AREAS = 4


@dataclass(frozen=True)
class MarkKey:
    """Key bits of a guard, for all callers of an API or for one client.

    client: "" for the key that all callers share. The cells are the same for all clients, so that
    one set of questions to a suspect serves them all.
    """

    parameters: MarkParameters
    client: str
    _tails: bytes = field(repr=False)
    _labels: bytes = field(repr=False)
    _cells: bytes = field(repr=False)

    @classmethod
    def open(
        cls,
        file: KeyFile,
        *,
        binding: bytes | None = None,
        client: str = "",
        client_binding: bytes = b"",
    ) -> Self:
        """Open a key file. Raises DynamicMarkError.

        binding: the registry's where the commitment was registered; left out, the commitment
        itself. client_binding: what the registry drew when the client was added, so that nobody
        can search for a name whose signs happen to suit a suspect.
        """
        if file.scheme != SCHEME:
            raise DynamicMarkError(
                f"This key file is for {file.scheme}, not for a guard.",
                hint="Choose the key file whose commitment was registered for the guard.",
            )
        parameters = MarkParameters.from_dict(file.parameters)
        bound = bytes.fromhex(file.commitment()) if binding is None else binding

        def key(purpose: str, salt: bytes = b"") -> bytes:
            return subkey(file.secret, binding=bound + salt, scheme=SCHEME, purpose=purpose)

        suffix, salt = (f" for {client}", client_binding) if client else ("", b"")
        tails, labels = (key(purpose + suffix, salt) for purpose in ("tails", "labels"))
        return cls(parameters, client, tails, labels, key("cells"))

    def commitment(self) -> str:
        """64 hex digits that commit to this client's bits, and tell nothing of them.

        SHA-256 over sub-keys, which are as good as random: nobody guesses them.
        """
        told = b"spellmark guard client\0" + self._tails + self._labels
        return hashlib.sha256(told).hexdigest()

    def row(self, cell: int, top: int) -> Signs:
        """The sign of every class, int8 (classes,), for inputs of a cell whose best class is `top`.

        A uniform +1 or -1 for each other class, 0 for the best one itself.
        """
        return _row(self._tails, self.parameters.classes, cell, top)

    def pair_row(self, cell: int, first: int) -> Signs:
        """The signs of the label channel, int8 (classes,): which of two close classes is answered.

        Entry j, for j > first, is +1 where j is answered and -1 where `first` is; the others are 0.
        """
        row = _row(self._labels, self.parameters.classes, cell, first)
        return np.where(np.arange(len(row)) > first, row, 0).astype(np.int8)

    def projections(self, shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
        """What inputs of this shape are multiplied with, float64 (log2 cells, values of an input).

        Each value of an area has the area's random sign: areas of the last two sides of an image,
        each channel for itself, or pieces of anything else.
        """
        return _projections(self._cells, self.parameters.cells.bit_length() - 1, shape)


@lru_cache(maxsize=16)
def _projections(key: bytes, count: int, shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    areas = _areas(shape)
    signs = [_signs(stream(key, areas.max() + 1, row=n)) for n in range(count)]
    table = np.array([row[areas] for row in signs], np.float64).reshape(count, areas.size)
    table.flags.writeable = False
    return table


def _areas(shape: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """The number of the area of each value, flat."""
    if len(shape) < 2:
        return _pieces(int(np.prod(shape)), AREAS * AREAS)
    *front, height, width = shape
    grid = _pieces(height, AREAS)[:, None] * AREAS + _pieces(width, AREAS)
    channels = np.arange(int(np.prod(front, dtype=int)))[:, None, None] * AREAS * AREAS
    return (channels + grid).reshape(-1)


def _pieces(length: int, count: int) -> npt.NDArray[np.int64]:
    return np.arange(length) * min(count, length) // length


@lru_cache(maxsize=4096)
def _row(key: bytes, classes: int, cell: int, top: int) -> Signs:
    signs = _signs(stream(key, classes, row=cell * classes + top))
    signs[top] = 0
    signs.flags.writeable = False
    return signs


def _signs(drawn: bytes) -> Signs:
    """A sign from the lowest bit of each byte, int8 (bytes,)."""
    return (np.frombuffer(drawn, np.uint8) & 1).astype(np.int8) * 2 - 1
