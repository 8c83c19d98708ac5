"""DSSE envelopes with exactly one ECDSA P-256 signature (DSSE protocol 1.0.2).

What is signed is the payload's bytes with their type, so there is nothing to canonicalise: `verify`
returns the very bytes it verified, and only those are to be parsed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.hashes import SHA256

from spellmark.certificates.encoding import from_base64, to_base64
from spellmark.certificates.errors import FormatError, VerificationError
from spellmark.certificates.fields import Fields
from spellmark.certificates.keys import keyid


@dataclass(frozen=True)
class Envelope:
    """A signed payload. `keyid` only says which key to try; `signature` is DER."""

    payload_type: str
    payload: bytes
    keyid: str
    signature: bytes

    def pae(self) -> bytes:
        """The bytes that the signature covers."""
        return pae(self.payload_type, self.payload)

    def to_json(self) -> dict[str, Any]:
        """The envelope as a JSON object."""
        return {
            "payload": to_base64(self.payload),
            "payloadType": self.payload_type,
            "signatures": [{"keyid": self.keyid, "sig": to_base64(self.signature)}],
        }

    @classmethod
    def from_json(cls, value: Any) -> "Envelope":
        """Read a JSON object. Raises FormatError, also for any number of signatures but one."""
        fields = Fields(value, "The certificate's envelope")
        fields.only(["payload", "payloadType", "signatures"])
        signatures = fields.array("signatures")
        if len(signatures) != 1:
            raise FormatError("The certificate does not have exactly one signature.")
        signed = Fields(signatures[0], "The certificate's signature")
        signed.only(["keyid", "sig"])
        return cls(
            payload_type=fields.text("payloadType"),
            payload=from_base64(fields.text("payload"), "The certificate's payload"),
            keyid=signed.text("keyid"),
            signature=from_base64(signed.text("sig"), "The certificate's signature"),
        )


def pae(payload_type: str, payload: bytes) -> bytes:
    """The pre-authentication encoding: what is signed instead of the payload alone."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def sign(payload_type: str, payload: bytes, key: EllipticCurvePrivateKey) -> Envelope:
    """Sign the payload with a P-256 key; the key id is always set."""
    signature = key.sign(pae(payload_type, payload), ECDSA(SHA256()))
    return Envelope(payload_type, payload, keyid(key.public_key()), signature)


def verify(envelope: Envelope, keys: Mapping[str, EllipticCurvePublicKey]) -> bytes:
    """The payload, if one of the trusted keys (by key id) signed it. Raises VerificationError."""
    key = keys.get(envelope.keyid)
    if key is None:
        raise VerificationError(
            "The certificate was not signed by a trusted key.",
            hint="Use the trust file of whoever issued it, if you trust them.",
        )
    try:
        key.verify(envelope.signature, envelope.pae(), ECDSA(SHA256()))
    except InvalidSignature:
        raise VerificationError(
            "The certificate's signature does not fit its content: it was altered after signing.",
            hint="Ask for the original.",
        ) from None
    return envelope.payload
