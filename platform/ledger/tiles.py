"""The log as tiles (C2SP tlog-tiles): read one by one, or written out for a static host."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, Storage
from django.db import connection, transaction
from django.utils.module_loading import import_string

from ledger.locks import EXPORT_LOCK, locked
from ledger.models import Entry
from ledger.selectors import checkpoint_latest
from spellmark.certificates import checkpoints, notes, tiles
from spellmark.certificates.tiles import HEIGHT, Tile
from spellmark.errors import SpellmarkError

CHECKPOINT = "checkpoint"


class TileStoreError(SpellmarkError):
    """A place for tiles that cannot be used."""


class TileFolder(FileSystemStorage):
    """A folder in which a file appears whole or not at all, and takes the place of an older one."""

    def get_available_name(self, name: str, max_length: int | None = None) -> str:
        """The name itself: tiles never change, and the checkpoint is meant to be replaced."""
        return name

    def _save(self, name: str, content: Any) -> str:
        path = Path(self.path(name))
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", delete=False) as file:
            file.write(content.read())
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), 0o644)
        Path(file.name).replace(path)
        return name


def tile_read(tile: Tile) -> bytes | None:
    """A tile's bytes, or None where the newest checkpoint does not cover all of it."""
    checkpoint = checkpoint_latest()
    if checkpoint is None or not tile.is_within(checkpoint.size):
        return None
    return _read(tile)


def tile_store() -> Storage | None:
    """Where tiles are written, if anywhere. Raises TileStoreError."""
    target = settings.LOG_TILES
    if not target:
        return None
    if not target.startswith("{"):
        return TileFolder(location=target)
    try:
        value = json.loads(target)
        store: Storage = import_string(value["BACKEND"])(**value.get("OPTIONS", {}))
    except (ValueError, KeyError, TypeError, ImportError) as error:
        raise TileStoreError(
            f"SPELLMARK_LOG_TILES does not name a storage: {error}",
            hint='Give a folder, or {"BACKEND": "…", "OPTIONS": {…}} of an installed storage.',
        ) from None
    return store


@transaction.atomic
def tiles_export() -> int:
    """Write the tiles that the store lacks, then the checkpoint; how many tiles there were.

    The store's own checkpoint says how far it came, so a crash costs nothing but a repetition.
    Raises TileStoreError.
    """
    store, checkpoint = tile_store(), checkpoint_latest()
    if store is None or checkpoint is None or not locked(EXPORT_LOCK):
        return 0
    since = exported_size(store)
    if since >= checkpoint.size:
        return 0
    count = 0
    for tile in tiles.tiles_of(checkpoint.size, since=since):
        _write(store, tile.path, _read(tile))
        count += 1
    # Last, so that nobody is told of tiles that are not there.
    _write(store, CHECKPOINT, bytes(checkpoint.note))
    return count


def exported_checkpoint(store: Storage) -> bytes | None:
    """The checkpoint that lies in the store."""
    if not store.exists(CHECKPOINT):
        return None
    with store.open(CHECKPOINT) as file:
        data: bytes = file.read()
        return data


def exported_size(store: Storage) -> int:
    """How many entries the store's checkpoint covers."""
    note = exported_checkpoint(store)
    return checkpoints.parse_body(notes.parse(note).text).size if note else 0


def _write(store: Storage, name: str, data: bytes) -> None:
    written = store.save(name, ContentFile(data))
    if written != name:
        raise TileStoreError(
            f"The storage wrote {name} under another name.",
            hint="Set its option to overwrite files (file_overwrite, allow_overwrite).",
        )


def _read(tile: Tile) -> bytes:
    start, end = tile.start, tile.start + tile.width
    if tile.level is None:
        rows = Entry.objects.filter(index__gte=start, index__lt=end).order_by("index")
        return tiles.bundle(bytes(body) for body in rows.values_list("body", flat=True))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT hash FROM ledger_node WHERE level = %s AND index >= %s AND index < %s"
            " ORDER BY index",
            [tile.level * HEIGHT, start, end],
        )
        return b"".join(bytes(value) for (value,) in cursor.fetchall())
