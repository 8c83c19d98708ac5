"""The editor that comes with Spellmark, as a file. Nothing here loads torch."""

import hashlib
from functools import cache
from pathlib import Path

PUBLIC = Path(__file__).parent / "editor.safetensors"


@cache
def public_digest() -> str:
    """Its digest, as a key file names it: 64 hex digits."""
    return hashlib.sha256(PUBLIC.read_bytes()).hexdigest()
