"""What stands in the log for a certificate: bytes that follow from the certificate alone."""

import hashlib
import re

from spellmark.certificates.dsse import Envelope
from spellmark.certificates.encoding import to_json

CERTIFICATE_KIND = "certificate/v1"
_ENTRY = re.compile(rb'\{"kind":"certificate/v1","sha256":"([0-9a-f]{64})"\}')


def certificate_digest(envelope: Envelope) -> str:
    """SHA-256, in hex, of the bytes that the certificate's signature covers.

    The signature itself is left out: ECDSA lets anyone turn a signature into a second valid one.
    """
    return hashlib.sha256(envelope.pae()).hexdigest()


def certificate_entry(envelope: Envelope) -> bytes:
    """The log entry of a certificate."""
    return to_json({"kind": CERTIFICATE_KIND, "sha256": certificate_digest(envelope)})


def certificate_in(entry: bytes) -> str | None:
    """The digest of the certificate whose log entry this is, or None for an entry of another."""
    found = _ENTRY.fullmatch(entry)
    return found[1].decode() if found else None
