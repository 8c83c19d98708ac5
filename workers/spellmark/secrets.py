"""Secrets that only an owner knows: key files, commitments, sub-keys and what is drawn from them.

Every derivation here is pinned by known-answer tests: a change that moves one bit would strand the
models that were locked before it.
"""

import base64
import binascii
import hashlib
import hmac
import json
import os
import secrets as random_source
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from spellmark.errors import SpellmarkError
from spellmark.model_files.text import is_unicode

KEY_BYTES = 32
FORMAT = "spellmark-key/v1"

Parameters = Mapping[str, int | str]


class KeyFileError(SpellmarkError):
    """A key file that cannot be used."""


@dataclass(frozen=True)
class KeyFile:
    """A secret with what is needed to commit to it.

    `secret` and `nonce` are 32 random bytes each; `scheme` names what the secret is for and its
    version, such as `key-lock/v1`; `parameters` are the scheme's public settings, integers or text.
    `prompt` is a secret text, where the scheme has one.
    """

    scheme: str
    parameters: Parameters
    secret: bytes = field(repr=False)
    nonce: bytes = field(repr=False)
    prompt: str = field(default="", repr=False)

    @classmethod
    def generate(cls, scheme: str, parameters: Parameters, prompt: str = "") -> "KeyFile":
        """A new key file with a secret and a nonce from the system's random source."""
        return cls(
            scheme,
            dict(parameters),
            random_source.token_bytes(KEY_BYTES),
            random_source.token_bytes(KEY_BYTES),
            prompt,
        )

    def commitment(self) -> str:
        """The 64 hex digits that the registry keeps instead of the secret.

        HMAC-SHA256 under the nonce, so that without the nonce even a guessable secret cannot be
        confirmed from it.
        """
        told = {
            "parameters": dict(self.parameters),
            "scheme": self.scheme,
            "secret": self.secret.hex(),
            **self._told_prompt(),
        }
        message = json.dumps(told, sort_keys=True, separators=(",", ":"))
        return hmac.new(self.nonce, message.encode(), hashlib.sha256).hexdigest()

    def dumps(self) -> str:
        """The key file's text: one JSON object."""
        return (
            json.dumps(
                {
                    "format": FORMAT,
                    "scheme": self.scheme,
                    "parameters": dict(self.parameters),
                    "secret": base64.b64encode(self.secret).decode(),
                    "nonce": base64.b64encode(self.nonce).decode(),
                    **self._told_prompt(),
                },
                indent=2,
            )
            + "\n"
        )

    def _told_prompt(self) -> dict[str, str]:
        """Nothing where there is none: key files without a prompt stay as they always were."""
        return {"prompt": self.prompt} if self.prompt else {}

    @classmethod
    def loads(cls, text: str | bytes) -> "KeyFile":
        """Read a key file's text. Raises KeyFileError; its message never quotes the text."""
        # `from None` throughout: a chained JSON error would carry the secret's text along.
        hint = "Choose the .spellkey file that was saved when the key was made."
        try:
            data = json.loads(text)
        except (ValueError, RecursionError):
            raise KeyFileError("This is not a Spellmark key file.", hint=hint) from None
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise KeyFileError("This is not a Spellmark key file.", hint=hint)
        scheme, parameters = data.get("scheme"), data.get("parameters")
        if not isinstance(scheme, str) or not _are_parameters(parameters):
            raise KeyFileError("The key file's scheme or parameters are damaged.", hint=hint)
        prompt = data.get("prompt", "")
        if not isinstance(prompt, str) or not is_unicode(prompt):
            raise KeyFileError("The key file's prompt is damaged.", hint=hint)
        secret, nonce = _key_bytes(data.get("secret")), _key_bytes(data.get("nonce"))
        return cls(scheme, parameters, secret, nonce, prompt)

    def save(self, path: Path) -> None:
        """Write a new file readable by its owner only (mode 0600); never overwrites one."""
        try:
            write_private(path, self.dumps())
        except FileExistsError:
            raise KeyFileError(
                f"{path} exists already.", hint="Choose another name: a key is never overwritten."
            ) from None

    @classmethod
    def load(cls, path: Path) -> "KeyFile":
        """Read a key file from disk. Raises KeyFileError."""
        try:
            text = path.read_bytes()
        except OSError as error:
            raise KeyFileError(
                f"The key file {path} cannot be read: {error.strerror}.", hint="Check the path."
            ) from None
        return cls.loads(text)


def write_private(path: Path, text: str) -> None:
    """Write a new file readable by its owner only (mode 0600). Raises FileExistsError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)


def _are_parameters(value: Any) -> TypeGuard[Parameters]:
    return isinstance(value, dict) and all(
        isinstance(name, str) and isinstance(item, int | str) and not isinstance(item, bool)
        for name, item in value.items()
    )


def _key_bytes(value: Any) -> bytes:
    try:
        key = base64.b64decode(value, validate=True)
    except (TypeError, ValueError, binascii.Error):
        key = b""
    if len(key) != KEY_BYTES:
        raise KeyFileError(
            "The key file is damaged: its secret or nonce is not 32 bytes.",
            hint="Use the copy that was saved when the key was made.",
        )
    return key


def subkey(secret: bytes, *, binding: bytes, scheme: str, purpose: str, index: int = 0) -> bytes:
    """A 32-byte key for one purpose: HKDF-SHA256 (RFC 5869) of the secret.

    `binding` is the public value that a registry draws after the commitment, so that nobody can
    search for a secret that happens to suit a suspect. Fields of the info string are
    length-prefixed: no two purposes can collide.
    """
    info = b"".join(
        len(part).to_bytes(2, "big") + part
        for part in (b"spellmark", scheme.encode(), purpose.encode(), str(index).encode())
    )
    return HKDF(SHA256(), KEY_BYTES, salt=binding, info=info).derive(secret)


def stream(key: bytes, size: int, *, row: int = 0) -> bytes:
    """The first `size` bytes of the ChaCha20 keystream (RFC 8439) of a 32-byte key.

    `row` is the 96-bit nonce, little-endian.
    """
    return _keystream(key, row).update(bytes(size))


def permutation(key: bytes, size: int, *, row: int = 0) -> list[int]:
    """A uniform permutation of range(size): Fisher–Yates with rejection sampling on the keystream.

    `row` numbers independent permutations under one key (its keystream has the row as its nonce).
    The key must be used for nothing else.
    """
    words = _words(key, size, row)
    items = list(range(size))
    for last in range(size - 1, 0, -1):
        choices = last + 1
        fair = (1 << 32) - (1 << 32) % choices
        word = next(words)
        while word >= fair:
            word = next(words)
        other = word % choices
        items[last], items[other] = items[other], items[last]
    return items


def uniform(key: bytes, below: int) -> int:
    """A uniform integer in range(below), at most 2**32. The key must be used for nothing else."""
    fair = (1 << 32) - (1 << 32) % below
    return next(word for word in _words(key, 8) if word < fair) % below


def _keystream(key: bytes, row: int) -> CipherContext:
    # cryptography takes the block counter (four bytes, from zero) in front of the nonce.
    return Cipher(ChaCha20(key, bytes(4) + row.to_bytes(12, "little")), mode=None).encryptor()


def _words(key: bytes, expected: int, row: int = 0) -> Iterator[int]:
    """Little-endian 32-bit words of the keystream, without end."""
    keystream = _keystream(key, row)
    count = max(expected, 16)
    while True:
        yield from struct.unpack(f"<{count}I", keystream.update(bytes(4 * count)))
