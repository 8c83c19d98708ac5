"""Signing keys on disk: P-256 for certificates, Ed25519 and ML-DSA-44 for the log; PKCS #8 PEM.

With a passphrase the files are encrypted (PBES2 with AES-256-CBC, as OpenSSL reads it, too).
"""

import hashlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from spellmark.certificates.cosignatures import HAS_ML_DSA
from spellmark.errors import SpellmarkError

PrivateKey = ec.EllipticCurvePrivateKey | Ed25519PrivateKey
PublicKey = ec.EllipticCurvePublicKey | Ed25519PublicKey

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.mldsa import (
        MLDSA44PrivateKey,
        MLDSA44PublicKey,
    )


class SigningKeyError(SpellmarkError):
    """A signing key that cannot be stored, read or used."""


def generate_p256() -> ec.EllipticCurvePrivateKey:
    """A new key for certificates."""
    return ec.generate_private_key(ec.SECP256R1())


def generate_ed25519() -> Ed25519PrivateKey:
    """A new key for a log."""
    return Ed25519PrivateKey.generate()


def generate_ml_dsa_44() -> "MLDSA44PrivateKey":
    """A new key for a log. Raises SigningKeyError where `cryptography` has no ML-DSA."""
    if not HAS_ML_DSA:
        raise SigningKeyError(
            "The installed cryptography has no ML-DSA.",
            hint="Upgrade it: pip install -U cryptography",
        )
    from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

    return MLDSA44PrivateKey.generate()


def save(
    key: "PrivateKey | MLDSA44PrivateKey", path: Path, passphrase: bytes | None = None
) -> None:
    """Write a new file that only its owner may read (mode 0600); never overwrites one.

    It is encrypted under the passphrase, if there is one. Raises SigningKeyError.
    """
    encryption: KeySerializationEncryption = NoEncryption()
    if passphrase is not None:
        encryption = BestAvailableEncryption(passphrase)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise SigningKeyError(
            f"{path} exists already.", hint="Choose another name: a key is never overwritten."
        ) from None
    except OSError as error:
        raise SigningKeyError(
            f"The key file {path} cannot be written: {error.strerror}.", hint="Check the folder."
        ) from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        # Half a key under the final name would block the next attempt.
        path.unlink(missing_ok=True)
        raise


def load(path: Path, passphrase: bytes | None = None) -> object:
    """Read a private key of any kind that only its owner may read. Raises SigningKeyError.

    A passphrase is used only if the file is encrypted.
    """
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & 0o077:
                raise SigningKeyError(
                    f"Others than its owner may read the key file {path}.",
                    hint=f"Run: chmod 600 {path} and consider whether the key is still secret.",
                )
            pem = file.read()
    except OSError as error:
        raise SigningKeyError(
            f"The key file {path} cannot be read: {error.strerror}.", hint="Check the path."
        ) from None
    is_encrypted = b"ENCRYPTED PRIVATE KEY" in pem
    if is_encrypted and passphrase is None:
        raise SigningKeyError(
            f"The key file {path} is encrypted, and no passphrase was given.",
            hint="Give the passphrase that it was written with.",
        )
    try:
        return load_pem_private_key(pem, password=passphrase if is_encrypted else None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # `from None`: a chained error must not carry the file's content along.
        what = (
            "is not a private key that this passphrase opens"
            if is_encrypted
            else "is not a private key in PEM form"
        )
        raise SigningKeyError(f"{path} {what}.", hint="Check the path.") from None


def load_p256(path: Path, passphrase: bytes | None = None) -> ec.EllipticCurvePrivateKey:
    """Read a certificate key that only its owner may read. Raises SigningKeyError."""
    key = load(path, passphrase)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not _is_p256(key.curve):
        raise SigningKeyError(
            f"{path} is not a P-256 key.", hint="Give the certificate key, not the log key."
        )
    return key


def public_pem(key: "PublicKey | MLDSA44PublicKey") -> str:
    """The public key as PEM text (SubjectPublicKeyInfo)."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")


def load_public_p256(pem: str) -> ec.EllipticCurvePublicKey:
    """Read a P-256 public key from PEM text. Raises SigningKeyError."""
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise SigningKeyError("This is not a public key in PEM form.") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not _is_p256(key.curve):
        raise SigningKeyError("This is not the public key of a P-256 key.")
    return key


def load_public(pem: str) -> Any:
    """Read a public key of any kind from PEM text. Raises SigningKeyError."""
    try:
        return load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise SigningKeyError("This is not a public key in PEM form.") from None


def keyid(key: "PublicKey | MLDSA44PublicKey") -> str:
    """The key's name in certificates: SHA-256 of the DER SubjectPublicKeyInfo, in hex."""
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def _is_p256(curve: ec.EllipticCurve) -> bool:
    return isinstance(curve, ec.SECP256R1)
