"""Digests of files, and of a version as a whole."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from spellmark.model_files.errors import ModelFileError
from spellmark.model_files.text import is_unicode, shown

_SHA256_HEX = re.compile(r"[0-9a-f]{64}")


def sha256_file(path: Path) -> str:
    """The SHA-256 of the file at `path`, 64 lower-case hex digits, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def oms_root_digest(files: Mapping[str, str]) -> str:
    """The root digest of a version: 64 hex digits from file names and their SHA-256 digests.

    OpenSSF Model Signing v1.0, section 6.5.1: SHA-256 over the raw digests, joined in the order
    of the file names by Unicode code point (so “a-b” stands before “a/b”). A version of one file
    is no exception: the digest of its 32-byte digest.

    The names only give the order and are not hashed: a renaming that keeps the order keeps the
    root. Whoever relies on names has to record them beside it.

    Raises ModelFileError for no files at all, for a name that is not canonical (section 6.1.2)
    and for a digest that is not 64 lower-case hex digits.
    """
    if not files:
        raise ModelFileError("A version without files has no digest.", hint="Add a file first.")
    for name, digest in files.items():
        _refuse_name(name)
        if not _SHA256_HEX.fullmatch(digest):
            raise ModelFileError(
                f"The digest of “{shown(name)}” is not a SHA-256 digest.",
                hint="Give 64 lower-case hex digits.",
            )
    joined = b"".join(bytes.fromhex(files[name]) for name in sorted(files))
    return hashlib.sha256(joined).hexdigest()


def _refuse_name(name: str) -> None:
    if not is_unicode(name) or any(part in ("", ".", "..") for part in name.split("/")):
        raise ModelFileError(
            f"“{shown(name)}” is not a canonical file name.",
            hint="Give a path inside the version, such as “weights/model.safetensors”.",
        )
