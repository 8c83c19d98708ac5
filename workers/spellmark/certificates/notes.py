"""Signed notes (c2sp.org/signed-note): text, a blank line, signature lines.

Three kinds of keys are known, each by its type byte: Ed25519 over the text, and the two timestamped
cosignatures over checkpoints, of Ed25519 and of ML-DSA-44. Signatures of unknown keys are ignored,
so a log can sign with its old and its new key while it changes over, and witnesses can add theirs.
"""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from spellmark.certificates import cosignatures
from spellmark.certificates.encoding import from_base64, to_base64
from spellmark.certificates.errors import FormatError, VerificationError

ED25519 = 0x01
COSIGNATURE = 0x04
ML_DSA_44 = 0x06
KEY_BYTES = {ED25519: 32, COSIGNATURE: 32, ML_DSA_44: 1312}
MAX_NOTE_BYTES = 1_000_000
MAX_SIGNATURES = 100


class PrivateKey(Protocol):
    """What signs: a key of `cryptography`, or what stands for one in a token or a key service."""

    def sign(self, data: bytes, /) -> bytes:
        """The signature over the bytes."""

    def public_key(self) -> Any:
        """The public half, with `public_bytes_raw()`."""


@dataclass(frozen=True)
class Verifier:
    """A key that is trusted under a name. `public_key` is the raw key, 32 or 1,312 bytes."""

    name: str
    public_key: bytes
    kind: int = ED25519

    def __post_init__(self) -> None:
        if not is_key_name(self.name):
            raise FormatError(
                f"{self.name!r} is not a key name.",
                hint="Use a name without spaces and plus signs, such as example.com/log.",
            )
        if self.kind not in KEY_BYTES:
            raise FormatError("A vkey is not of a known type: 0x01, 0x04 or 0x06.")
        if len(self.public_key) != KEY_BYTES[self.kind]:
            raise FormatError(f"A public key of this type is {KEY_BYTES[self.kind]} bytes long.")

    @classmethod
    def from_vkey(cls, vkey: str) -> "Verifier":
        """Read `name+hex(key id)+base64(type || key)`. Raises FormatError."""
        name, _, rest = vkey.partition("+")
        key_id, _, encoded = rest.partition("+")
        key = from_base64(encoded, "The key in a vkey")
        if not key:
            raise FormatError("A vkey holds no key.")
        verifier = cls(name, key[1:], key[0])
        if verifier.key_id.hex() != key_id:
            raise FormatError("The key id in a vkey does not fit its name and key.")
        return verifier

    @property
    def key_id(self) -> bytes:
        """4 bytes that tell keys of one name apart; not a secure hash."""
        data = self.name.encode() + b"\n" + bytes([self.kind]) + self.public_key
        return hashlib.sha256(data).digest()[:4]

    @property
    def vkey(self) -> str:
        """The verifier as one line of text, to be published."""
        return f"{self.name}+{self.key_id.hex()}+{to_base64(bytes([self.kind]) + self.public_key)}"

    @property
    def is_supported(self) -> bool:
        """Whether the installed `cryptography` can check this kind of signature."""
        return self.kind != ML_DSA_44 or cosignatures.HAS_ML_DSA

    def check(self, text: bytes, signature: bytes) -> None:
        """Check a signature over a note's text. Raises InvalidSignature, FormatError."""
        if self.kind == ED25519:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, text)
            return
        at, bare = cosignatures.split(signature)
        if self.kind == COSIGNATURE:
            message = cosignatures.ed25519_message(text, at)
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(bare, message)
        else:
            message = cosignatures.ml_dsa_message(text, at, self.name)
            cosignatures.verify_ml_dsa(self.public_key, bare, message)


@dataclass(frozen=True)
class Signer:
    """A private key with the name it signs under."""

    name: str
    private_key: PrivateKey = field(repr=False)
    kind: int = ED25519

    @property
    def verifier(self) -> Verifier:
        return Verifier(self.name, self.private_key.public_key().public_bytes_raw(), self.kind)

    def line(self, text: bytes, *, at: int | None = None) -> bytes:
        """The signature line for a note's text; `at` is a cosignature's POSIX time, now if None."""
        signature = self._sign(text, int(time.time()) if at is None else at)
        return Signature(self.name, self.verifier.key_id, signature).line()

    def _sign(self, text: bytes, at: int) -> bytes:
        if self.kind == ED25519:
            return self.private_key.sign(text)
        if self.kind == COSIGNATURE:
            message = cosignatures.ed25519_message(text, at)
        else:
            message = cosignatures.ml_dsa_message(text, at, self.name)
        return cosignatures.join(at, self.private_key.sign(message))


@dataclass(frozen=True)
class Signature:
    """One signature line. `key_id` is 4 bytes, `signature` what the key's algorithm makes."""

    name: str
    key_id: bytes
    signature: bytes

    def line(self) -> bytes:
        """The line's bytes."""
        return f"— {self.name} {to_base64(self.key_id + self.signature)}\n".encode()


@dataclass(frozen=True)
class Note:
    """A note that was read but not yet verified. `text` ends with a newline."""

    text: bytes
    signatures: tuple[Signature, ...]


def is_key_name(name: str) -> bool:
    """Whether a key may have this name: no spaces, plus signs or control characters."""
    return bool(name) and not any(c.isspace() or c == "+" or c < " " for c in name)


def sign(text: bytes, signers: Sequence[Signer]) -> bytes:
    """The signed note. `text` ends with a newline. Raises FormatError."""
    note = add_signatures(text + b"\n", b"".join(signer.line(text) for signer in signers))
    if parse(note).text != text:
        raise FormatError("The text of a note must end with a newline.")
    return note


def add_signatures(note: bytes, lines: bytes) -> bytes:
    """The note with further signature lines, as a witness returns them. Raises FormatError."""
    signed = note + lines
    parse(signed)
    return signed


def parse(data: bytes) -> Note:
    """Read a signed note without verifying it. Raises FormatError."""
    if len(data) > MAX_NOTE_BYTES:
        raise FormatError(f"A signed note is longer than {MAX_NOTE_BYTES} bytes.")
    try:
        content = data.decode()
    except UnicodeDecodeError:
        raise FormatError("A signed note is not UTF-8 text.") from None
    if any(c < " " and c != "\n" for c in content):
        raise FormatError("A signed note has control characters.")
    text, blank, lines = content.rpartition("\n\n")
    if not blank or not lines.endswith("\n"):
        raise FormatError("A signed note lacks its blank line or its signatures.")
    signatures = tuple(_parse_line(line) for line in lines[:-1].split("\n"))
    if len(signatures) > MAX_SIGNATURES:
        raise FormatError(f"A signed note has more than {MAX_SIGNATURES} signatures.")
    return Note((text + "\n").encode(), signatures)


def verify(note: Note, verifiers: Sequence[Verifier]) -> list[Verifier]:
    """The verifiers whose signatures the note carries, at least one.

    Raises VerificationError if there is none, or if the signature of a known key is false.
    """
    found = verified(note, verifiers)
    if not found:
        raise VerificationError("No trusted key has signed the text.")
    return found


def verified(note: Note, verifiers: Sequence[Verifier]) -> list[Verifier]:
    """The verifiers whose signatures the note carries, perhaps none.

    Raises VerificationError if the signature of a known key is false.
    """
    known = {(v.name, v.key_id): v for v in verifiers if v.is_supported}
    found: list[Verifier] = []
    for signature in note.signatures:
        verifier = known.get((signature.name, signature.key_id))
        if verifier is None:
            continue
        try:
            verifier.check(note.text, signature.signature)
        except (InvalidSignature, FormatError):
            raise VerificationError(
                f"The signature of {verifier.name} does not fit the text:"
                " one of them was altered after signing."
            ) from None
        found.append(verifier)
    return found


def _parse_line(line: str) -> Signature:
    parts = line.split(" ")
    if len(parts) != 3 or parts[0] != "—" or not is_key_name(parts[1]):
        raise FormatError("A line under a signed note is not a signature.")
    _, name, encoded = parts
    signature = from_base64(encoded, "A signature")
    if len(signature) <= 4:
        raise FormatError("A signature under a note is too short.")
    return Signature(name, signature[:4], signature[4:])
