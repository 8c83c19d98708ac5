"""What holds the private keys: the one seam for tokens (PKCS#11) and key services (KMS).

`SPELLMARK_KEY_STORE` names the class. Whatever it is, `open` returns an object with the methods
`sign` and `public_key` of cryptography's key classes; the private bytes need never leave a token.
"""

import hmac
import os
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from django.conf import settings
from django.utils.module_loading import import_string

from config.keys import load_secret
from spellmark.certificates import keys


class KeyStore(Protocol):
    """Keys by name, such as `log` or `log-2`. Names are lower-case letters, digits and dashes."""

    def names(self) -> list[str]:
        """The names of all keys."""

    def create(self, name: str, algorithm: str) -> None:
        """Make a key: `p256`, `ed25519` or `ml-dsa-44`. Raises SigningKeyError if it is there."""

    def created_at(self, name: str) -> datetime:
        """Since when there is the key."""

    def open(self, name: str) -> Any:
        """The key as something that signs. Raises SigningKeyError."""


GENERATORS: dict[str, Callable[[], Any]] = {
    "p256": keys.generate_p256,
    "ed25519": keys.generate_ed25519,
    "ml-dsa-44": keys.generate_ml_dsa_44,
}


class KeyFiles:
    """PEM files in the keys folder, mode 0600, encrypted under the installation's passphrase."""

    def __init__(self) -> None:
        self._folder = Path(settings.KEYS)

    def names(self) -> list[str]:
        """The names of all keys."""
        return sorted(path.stem for path in self._folder.glob("*.pem"))

    def create(self, name: str, algorithm: str) -> None:
        """Make a key."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        keys.save(GENERATORS[algorithm](), self._path(name), self._passphrase())

    def created_at(self, name: str) -> datetime:
        """The file's time, to the second."""
        return datetime.fromtimestamp(int(self._path(name).stat().st_mtime), UTC)

    def open(self, name: str) -> Any:
        """The key, read once for each state of its file."""
        path = self._path(name)
        changed = path.stat().st_mtime_ns if path.exists() else 0
        return _load(path, changed, self._passphrase())

    def encrypt(self) -> None:
        """Encrypt the files of an older release in place."""
        for name in self.names():
            path = self._path(name)
            if b"ENCRYPTED" in path.read_bytes():
                continue
            made_at = path.stat().st_mtime
            fresh = path.with_suffix(".new")
            fresh.unlink(missing_ok=True)
            key: Any = keys.load(path)
            keys.save(key, fresh, self._passphrase())
            # The key's time of validity begins with the file's time.
            os.utime(fresh, (made_at, made_at))
            fresh.replace(path)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.pem"

    def _passphrase(self) -> bytes:
        if settings.KEY_PASSPHRASE:
            return str(settings.KEY_PASSPHRASE).encode()
        kek = bytes.fromhex(load_secret(self._folder, "kek"))
        return hmac.digest(kek, b"spellmark signing keys", "sha256").hex().encode()


@cache
def _load(path: Path, changed: int, passphrase: bytes) -> Any:
    return keys.load(path, passphrase)


def key_store() -> KeyStore:
    """The installation's key store."""
    store: KeyStore = import_string(settings.KEY_STORE)()
    return store
