"""Where and how a log's tiles are served (c2sp.org/tlog-tiles).

A tile is 256 hashes of one level, 8 levels apart; an entry bundle is 256 entries, each with its
length in 2 bytes before it. The last of each may be partial.
"""

import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from spellmark.certificates.errors import FormatError

WIDTH = 256
HEIGHT = 8
ENTRIES = "entries"
MAX_ENTRY_BYTES = 65_535
_PATH = re.compile(
    r"tile/(entries|0|[1-9][0-9]?)/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?"
)


@dataclass(frozen=True)
class Tile:
    """A tile of a level, or with `level` None an entry bundle. `width` is 1 to 256."""

    level: int | None
    index: int
    width: int = WIDTH

    @property
    def path(self) -> str:
        """The address under the log's prefix."""
        level = ENTRIES if self.level is None else str(self.level)
        partial = f".p/{self.width}" if self.width < WIDTH else ""
        return f"tile/{level}/{_encode(self.index)}{partial}"

    @property
    def start(self) -> int:
        """The place of its first hash within its level, or of its first entry."""
        return self.index * WIDTH

    def is_within(self, size: int) -> bool:
        """Whether a log of so many entries has all of it."""
        per_hash = 1 if self.level is None else 1 << (HEIGHT * self.level)
        return (self.start + self.width) * per_hash <= size


def parse(path: str) -> Tile:
    """Read an address such as `tile/0/x001/234.p/7`. Raises FormatError."""
    found = _PATH.fullmatch(path)
    if found:
        level, index, width = found.groups()
        number = int(index.replace("x", "").replace("/", ""))
        tile = Tile(
            None if level == ENTRIES else int(level), number, int(width) if width else WIDTH
        )
        # One spelling only: no leading x000, no full tile by a partial address.
        if tile.path == path and number < 1 << 55 and (tile.level or 0) <= 63:
            return tile
    raise FormatError(f"{path!r} is not the address of a tile.")


def tiles_of(size: int, *, since: int = 0) -> Iterator[Tile]:
    """All tiles and entry bundles of a log of `size` entries that one of `since` did not have.

    Entry bundles come first and higher levels last, so that whoever writes them in this order
    never has a hash without what is below it.
    """
    for level in (None, *range(HEIGHT)):
        hashes, before = size, since
        if level:
            hashes, before = size >> (HEIGHT * level), since >> (HEIGHT * level)
        if hashes == before:
            continue
        for index in range(before // WIDTH, hashes // WIDTH):
            yield Tile(level, index)
        if hashes % WIDTH:
            yield Tile(level, hashes // WIDTH, hashes % WIDTH)


def bundle(entries: Iterable[bytes]) -> bytes:
    """An entry bundle's bytes. Raises FormatError for an entry of 64 KiB or more."""
    parts = []
    for entry in entries:
        if len(entry) > MAX_ENTRY_BYTES:
            raise FormatError(f"A log entry is longer than {MAX_ENTRY_BYTES} bytes.")
        parts.append(struct.pack(">H", len(entry)) + entry)
    return b"".join(parts)


def unbundle(data: bytes) -> list[bytes]:
    """The entries of a bundle. Raises FormatError."""
    entries, position = [], 0
    while position < len(data):
        end = position + 2
        length = int.from_bytes(data[position:end], "big")
        entry = data[end : end + length]
        if end > len(data) or len(entry) != length:
            raise FormatError("An entry bundle is cut off.")
        entries.append(entry)
        position = end + length
    return entries


def _encode(index: int) -> str:
    text = str(index)
    text = text.zfill((len(text) + 2) // 3 * 3)
    parts = [text[start : start + 3] for start in range(0, len(text), 3)]
    return "/".join([f"x{part}" for part in parts[:-1]] + parts[-1:])
