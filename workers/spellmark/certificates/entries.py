"""What stands in the log for a certificate: bytes that follow from the certificate alone."""

import hashlib

from spellmark.certificates.dsse import Envelope
from spellmark.certificates.encoding import to_json

CERTIFICATE_KIND = "certificate/v1"


def certificate_digest(envelope: Envelope) -> str:
    """SHA-256, in hex, of the bytes that the certificate's signature covers.

    The signature itself is left out: ECDSA lets anyone turn a signature into a second valid one.
    """
    return hashlib.sha256(envelope.pae()).hexdigest()


def certificate_entry(envelope: Envelope) -> bytes:
    """The log entry of a certificate."""
    return to_json({"kind": CERTIFICATE_KIND, "sha256": certificate_digest(envelope)})
