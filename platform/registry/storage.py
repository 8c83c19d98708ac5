"""Content-addressed storage: bytes under their SHA-256, hashed while they stream in."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from spellmark.errors import SpellmarkError
from spellmark.model_files.hashing import BackgroundSha256

CHUNK = 1 << 20
# Bytes of an upload after which the disk is asked to write what has come.
SYNC_EVERY = 1 << 24


class StorageError(SpellmarkError):
    """Bytes that could not be taken or are not there."""


@dataclass(frozen=True)
class Incoming:
    """Bytes that have arrived but are not kept yet: in a temporary file, hashed."""

    path: Path
    sha256: str
    size: int


@contextmanager
def receive(chunks: Iterable[bytes], *, expected_size: int | None = None) -> Iterator[Incoming]:
    """Stream bytes into a temporary file that is removed at the end, whatever happens.

    `expected_size` is what the sender announced. Raises StorageError when fewer or more bytes come,
    or more than the platform takes.
    """
    if expected_size is not None:
        _check_limit(expected_size)  # before the bytes move
    folder = settings.STORAGE / "incoming"
    folder.mkdir(parents=True, exist_ok=True)
    digest, size, synced = BackgroundSha256(), 0, 0
    with (
        digest,
        tempfile.NamedTemporaryFile(dir=folder, delete=False) as file,
        ThreadPoolExecutor(1) as disk,
    ):
        path = Path(file.name)
        # The disk works while more comes in, so that little is left to wait for at the end.
        syncing = disk.submit(int)
        try:
            for chunk in chunks:
                size += len(chunk)
                _check_limit(size)
                digest.update(chunk)
                file.write(chunk)
                if size - synced >= SYNC_EVERY and syncing.done():
                    syncing.result()  # an error of the disk is told once
                    synced, syncing = size, disk.submit(os.fdatasync, file.fileno())
            file.flush()
            syncing.result()
            os.fsync(file.fileno())
            if expected_size is not None and size != expected_size:
                raise StorageError(
                    f"The upload stopped at {size:,} of {expected_size:,} bytes.",
                    hint="Nothing was kept. Send the whole file again.",
                )
            yield Incoming(path, digest.hexdigest(), size)
        finally:
            path.unlink(missing_ok=True)


def keep(incoming: Incoming) -> Path:
    """Move received bytes to their place; the same bytes are kept once."""
    place = _place(incoming.sha256)
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        incoming.path.chmod(0o440)
        shutil.move(incoming.path, place)
    return place


def put(data: bytes) -> str:
    """Keep bytes that are at hand; their SHA-256 back."""
    with receive([data]) as incoming:
        keep(incoming)
        return incoming.sha256


def path_of(sha256: str) -> Path:
    """Where the bytes with this digest lie. Raises StorageError."""
    place = _place(sha256)
    if not place.is_file():
        raise StorageError(
            f"The storage holds no bytes with the digest {sha256[:12]}….",
            hint="Restore the storage folder from its backup.",
        )
    return place


def get(sha256: str) -> bytes:
    """The bytes with this digest, checked against it. Raises StorageError."""
    data = path_of(sha256).read_bytes()
    if hashlib.sha256(data).hexdigest() != sha256:
        raise StorageError(
            f"The stored bytes of {sha256[:12]}… were altered.",
            hint="Restore the storage folder from its backup.",
        )
    return data


def read_chunks(sha256: str) -> Iterator[bytes]:
    """The bytes with this digest, a mebibyte at a time."""
    with path_of(sha256).open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def _place(sha256: str) -> Path:
    root: Path = settings.STORAGE
    return root / "sha256" / sha256[:2] / sha256[2:]


def _check_limit(size: int) -> None:
    if size > settings.MAX_FILE_BYTES:
        raise StorageError(
            f"The file is larger than the {settings.MAX_FILE_BYTES:,} bytes that are taken here.",
            hint="Split it, or ask the operator to raise SPELLMARK_MAX_FILE_BYTES.",
        )
