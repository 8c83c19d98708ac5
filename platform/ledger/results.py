"""Certificates as simple verification results, signed when they are asked for."""

from django.conf import settings
from django.utils import timezone

from ledger.keys import certificate_key
from ledger.models import Certificate
from ledger.selectors import certificate_proof, certificate_statement, revocation_of
from spellmark.certificates import svr
from spellmark.errors import SpellmarkError


class ResultError(SpellmarkError):
    """A certificate that gives no result."""


def certificate_result(certificate: Certificate) -> bytes:
    """The certificate as an in-toto svr in a Sigstore bundle.

    Raises ResultError for a revoked certificate, NotYetLoggedError, FormatError.
    """
    if revocation_of(certificate) is not None:
        raise ResultError("This certificate is revoked.", hint="Ask for the one that replaces it.")
    certificate_proof(certificate)  # what is not in the log yet is no result
    statement = certificate_statement(certificate)
    payload = svr.payload(
        statement,
        digest=certificate.digest,
        verifier=settings.PUBLIC_URL,
        made_at=timezone.now(),
    )
    return svr.issue(payload, certificate_key())
