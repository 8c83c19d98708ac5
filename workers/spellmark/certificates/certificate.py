"""The certificate file: a signed statement as a Sigstore bundle v0.3 with a key hint."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from spellmark.certificates import dsse
from spellmark.certificates.encoding import from_base64, from_canonical_json, to_base64, to_json
from spellmark.certificates.errors import FormatError
from spellmark.certificates.fields import Fields
from spellmark.certificates.statements import PAYLOAD_TYPE, Statement

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
MAX_TIMESTAMPS = 4


@dataclass(frozen=True)
class CertificateFile:
    """A certificate file that was read: `timestamps` are RFC 3161 responses on its signature."""

    envelope: dsse.Envelope
    timestamps: tuple[bytes, ...] = ()


def issue(statement: Statement, key: EllipticCurvePrivateKey) -> bytes:
    """Sign a statement: the bytes of `certificate.sigstore.json`."""
    return dumps(dsse.sign(PAYLOAD_TYPE, statement.dumps(), key))


def dumps(envelope: dsse.Envelope, timestamps: Sequence[bytes] = ()) -> bytes:
    """The certificate file around a signed envelope, as canonical JSON."""
    return to_json(to_value(envelope, timestamps))


def to_value(envelope: dsse.Envelope, timestamps: Sequence[bytes] = ()) -> dict[str, Any]:
    """The certificate file as a JSON object."""
    material: dict[str, Any] = {"publicKey": {"hint": envelope.keyid}}
    if timestamps:
        signed = [{"signedTimestamp": to_base64(response)} for response in timestamps]
        material["timestampVerificationData"] = {"rfc3161Timestamps": signed}
    return {
        "mediaType": MEDIA_TYPE,
        "verificationMaterial": material,
        "dsseEnvelope": envelope.to_json(),
    }


def loads(data: bytes) -> dsse.Envelope:
    """The signed envelope of a certificate file; see `read`. Raises FormatError."""
    return read(data).envelope


def read(data: bytes) -> CertificateFile:
    """Read a certificate file; nothing is verified yet. Raises FormatError.

    Stricter than Sigstore asks: only the bytes that `dumps` writes are accepted, so that no byte of
    the file can change unnoticed.
    """
    return from_value(from_canonical_json(data, "The certificate"))


def from_value(value: Any) -> CertificateFile:
    """Read a certificate file's JSON object. Raises FormatError."""
    fields = Fields(value, "The certificate")
    fields.only(["mediaType", "verificationMaterial", "dsseEnvelope"])
    fields.choice("mediaType", [MEDIA_TYPE])
    material = Fields(fields.raw("verificationMaterial"), "The certificate's material")
    material.only(["publicKey", "timestampVerificationData"])
    public_key = Fields(material.raw("publicKey"), "The certificate's key hint")
    public_key.only(["hint"])
    envelope = dsse.Envelope.from_json(fields.raw("dsseEnvelope"))
    if public_key.text("hint") != envelope.keyid:
        raise FormatError("The certificate's key hint is not the key id of its signature.")
    if envelope.payload_type != PAYLOAD_TYPE:
        raise FormatError(f"The certificate's payload is not of the type {PAYLOAD_TYPE}.")
    return CertificateFile(envelope, _timestamps(material))


def _timestamps(material: Fields) -> tuple[bytes, ...]:
    if "timestampVerificationData" not in material.values:
        return ()
    data = Fields(material.raw("timestampVerificationData"), "The certificate's timestamps")
    data.only(["rfc3161Timestamps"])
    found = []
    for value in data.array("rfc3161Timestamps"):
        signed = Fields(value, "A timestamp of the certificate")
        signed.only(["signedTimestamp"])
        found.append(from_base64(signed.text("signedTimestamp"), "A timestamp of the certificate"))
    if not 1 <= len(found) <= MAX_TIMESTAMPS:
        raise FormatError(f"A certificate has from 1 to {MAX_TIMESTAMPS} timestamps, or no list.")
    return tuple(found)
