"""RFC 3161 timestamps: an authority's word that a certificate's signature existed by some time.

A certificate says itself when it was made, and its key could say so falsely; the authority cannot
be made to by whoever holds that key. What is stamped are the bytes of the signature, as in every
Sigstore bundle.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from cryptography import x509

from spellmark.certificates.errors import FormatError, VerificationError

# How far the two clocks may disagree.
CLOCK_SKEW = timedelta(minutes=5)


def load_authority(pem: str) -> list[x509.Certificate]:
    """An authority's certificates from PEM, own first, root last. Raises FormatError."""
    try:
        return x509.load_pem_x509_certificates(pem.encode())
    except ValueError:
        raise FormatError(
            "A timestamp authority is not given as certificates in PEM form.",
            hint="Give its own certificate first and its root last.",
        ) from None


def request(signature: bytes) -> bytes:
    """The request to be sent to an authority for a signature, DER."""
    from rfc3161_client import TimestampRequestBuilder

    return TimestampRequestBuilder().data(signature).nonce(nonce=True).build().as_bytes()


def decode(response: bytes) -> datetime:
    """The time that a response gives, unverified. Raises FormatError."""
    from rfc3161_client import decode_timestamp_response

    try:
        return decode_timestamp_response(response).tst_info.gen_time
    except ValueError:
        raise FormatError("A timestamp is not an RFC 3161 response.") from None


def verify(
    response: bytes, signature: bytes, authorities: Sequence[Sequence[x509.Certificate]]
) -> datetime:
    """When one of the authorities stamped the signature. `response` is a TimeStampResp in DER.

    Raises FormatError, VerificationError.
    """
    from rfc3161_client import VerifierBuilder, decode_timestamp_response
    from rfc3161_client.errors import VerificationError as Refused

    stamped_at = decode(response)
    read = decode_timestamp_response(response)
    for chain in authorities:
        builder = VerifierBuilder().tsa_certificate(chain[0]).add_root_certificate(chain[-1])
        for between in chain[1:-1]:
            builder = builder.add_intermediate_certificate(between)
        try:
            builder.build().verify_message(read, signature)
        except (Refused, ValueError):
            continue
        return stamped_at
    raise VerificationError(
        "A timestamp was not made by a trusted authority for this signature:"
        " it was altered, or belongs to another certificate."
    )
