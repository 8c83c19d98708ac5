"""Secrets of the installation: a file each, mode 0600, made at first start, in no database.

No Django here: the settings import it.
"""

import os
import secrets
from pathlib import Path


def load_secret(folder: Path, name: str, *, prefix: str = "", size: int = 32) -> str:
    """The text of a secret file; a random one is made where there is none.

    Safe to call from several processes at once: the file appears whole or not at all.
    """
    path = folder / name
    if not path.exists():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = folder / f".{name}.{secrets.token_hex(8)}"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(prefix + secrets.token_hex(size))
        try:
            os.link(temporary, path)
        except FileExistsError:
            pass  # another process was first; its secret counts
        finally:
            temporary.unlink()
    return path.read_text().strip()
