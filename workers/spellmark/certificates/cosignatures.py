"""What the timestamped signatures over checkpoints cover (c2sp.org/tlog-cosignature).

A cosignature is 8 bytes of POSIX time, big-endian, and a signature by Ed25519 (64 bytes) or
ML-DSA-44 (2,420 bytes, FIPS 204). Witnesses cosign with either; a log may sign its own checkpoints
with the second beside its plain Ed25519 signature.
"""

import struct

from spellmark.certificates.encoding import from_base64
from spellmark.certificates.errors import FormatError

try:
    from cryptography.hazmat.primitives.asymmetric.mldsa import (
        MLDSA44PrivateKey,
        MLDSA44PublicKey,
    )

    MLDSA44PrivateKey.generate()
    HAS_ML_DSA = True
except Exception:  # an older `cryptography`, or one built on a library without ML-DSA
    HAS_ML_DSA = False

TIME_BYTES = 8
_MAX_TIME = 1 << 63


def split(signature: bytes) -> tuple[int, bytes]:
    """The time and the bare signature of a cosignature. Raises FormatError."""
    if len(signature) <= TIME_BYTES:
        raise FormatError("A cosignature is too short.")
    (time,) = struct.unpack(">Q", signature[:TIME_BYTES])
    if time >= _MAX_TIME:
        raise FormatError("The time of a cosignature is too large.")
    return time, signature[TIME_BYTES:]


def join(time: int, signature: bytes) -> bytes:
    """A cosignature from its time and the bare signature."""
    return struct.pack(">Q", time) + signature


def ed25519_message(text: bytes, time: int) -> bytes:
    """The bytes that an Ed25519 cosignature covers. `text` is a checkpoint's note text."""
    return b"cosignature/v1\ntime %d\n" % time + text


def ml_dsa_message(text: bytes, time: int, name: str) -> bytes:
    """The bytes that an ML-DSA-44 cosignature covers: extension lines are not among them.

    `text` is a checkpoint's note text, `name` the cosigner's. Raises FormatError.
    """
    lines = text.split(b"\n")
    if len(lines) < 4:
        raise FormatError("A cosigned text is not a checkpoint.")
    origin, size, root = lines[0], lines[1], from_base64(lines[2].decode("latin-1"), "A root")
    cosigner = name.encode()
    if not (size.isdigit() and len(size) < 20 and int(size) < _MAX_TIME and len(root) == 32):
        raise FormatError("A cosigned text is not a checkpoint.")
    if not 0 < len(origin) < 256 or not 0 < len(cosigner) < 256:
        raise FormatError("A name in a cosignature is longer than 255 bytes.")
    return b"".join(
        [
            b"subtree/v1\n\0",
            bytes([len(cosigner)]) + cosigner,
            struct.pack(">Q", time),
            bytes([len(origin)]) + origin,
            struct.pack(">QQ", 0, int(size)),
            root,
        ]
    )


def verify_ml_dsa(public_key: bytes, signature: bytes, message: bytes) -> None:
    """Check a bare ML-DSA-44 signature. Raises cryptography's InvalidSignature."""
    MLDSA44PublicKey.from_public_bytes(public_key).verify(signature, message)
