"""The certificate file: a signed statement as a Sigstore bundle v0.3 with a key hint."""

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from spellmark.certificates import dsse
from spellmark.certificates.encoding import from_canonical_json, to_json
from spellmark.certificates.errors import FormatError
from spellmark.certificates.fields import Fields
from spellmark.certificates.statements import PAYLOAD_TYPE, Statement

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"


def issue(statement: Statement, key: EllipticCurvePrivateKey) -> bytes:
    """Sign a statement: the bytes of `certificate.sigstore.json`."""
    return dumps(dsse.sign(PAYLOAD_TYPE, statement.dumps(), key))


def dumps(envelope: dsse.Envelope) -> bytes:
    """The certificate file around a signed envelope, as canonical JSON."""
    return to_json(
        {
            "mediaType": MEDIA_TYPE,
            "verificationMaterial": {"publicKey": {"hint": envelope.keyid}},
            "dsseEnvelope": envelope.to_json(),
        }
    )


def loads(data: bytes) -> dsse.Envelope:
    """Read a certificate file; nothing is verified yet. Raises FormatError.

    Stricter than Sigstore asks: only the bytes that `dumps` writes are accepted, so that no byte of
    the file can change unnoticed.
    """
    fields = Fields(from_canonical_json(data, "The certificate"), "The certificate")
    fields.only(["mediaType", "verificationMaterial", "dsseEnvelope"])
    fields.choice("mediaType", [MEDIA_TYPE])
    material = Fields(fields.raw("verificationMaterial"), "The certificate's material")
    material.only(["publicKey"])
    public_key = Fields(material.raw("publicKey"), "The certificate's key hint")
    public_key.only(["hint"])
    envelope = dsse.Envelope.from_json(fields.raw("dsseEnvelope"))
    if public_key.text("hint") != envelope.keyid:
        raise FormatError("The certificate's key hint is not the key id of its signature.")
    if envelope.payload_type != PAYLOAD_TYPE:
        raise FormatError(f"The certificate's payload is not of the type {PAYLOAD_TYPE}.")
    return envelope
