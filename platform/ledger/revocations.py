"""Withdrawing certificates: by new certificates, never by edits."""

import uuid

from django.db import IntegrityError, transaction
from django.utils import timezone

from ledger.models import Certificate, Revocation
from ledger.services import certificate_issue
from spellmark.certificates import statements
from spellmark.errors import SpellmarkError

REVOCATION = "revocation"


class RevocationError(SpellmarkError):
    """A certificate that cannot be revoked."""


@transaction.atomic
def certificate_revoke(
    *,
    organisation_id: uuid.UUID,
    certificate: Certificate,
    reason: str,
    replaced_by: Certificate | None = None,
) -> Certificate:
    """Withdraw a certificate, or replace it by a later one of its kind. Raises RevocationError.

    The revocation is a certificate itself, with its own entry in the log.
    """
    _check(organisation_id, certificate, reason, replaced_by)
    by = certificate_issue(
        organisation_id=organisation_id,
        kind=REVOCATION,
        title=f"{'Replaced' if replaced_by else 'Revoked'}: {certificate.title}",
        statement=statements.Revocation(
            certificate_digest=certificate.digest,
            reason=reason.strip(),
            replaced_by=replaced_by.digest if replaced_by else None,
            revoked_at=timezone.now(),
        ),
    )
    try:
        with transaction.atomic():
            Revocation.objects.create(certificate=certificate, by=by)
    except IntegrityError:
        raise RevocationError("This certificate is revoked already.") from None
    return by


def is_revocable(certificate: Certificate, revocation: Revocation | None) -> bool:
    """Whether those whose it is can still withdraw it, given what has withdrawn it already."""
    return certificate.kind != REVOCATION and revocation is None


def _check(
    organisation_id: uuid.UUID,
    certificate: Certificate,
    reason: str,
    replaced_by: Certificate | None,
) -> None:
    if certificate.organisation_id != organisation_id:
        raise RevocationError("A certificate is revoked by the organisation that it belongs to.")
    if certificate.kind == REVOCATION:
        raise RevocationError("A revocation holds for good.", hint="Certify anew instead.")
    if not reason.strip() or len(reason) > 1000 or not reason.strip().isprintable():
        raise RevocationError(
            "A revocation needs its reason.", hint="Give one line of at most 1,000 characters."
        )
    if replaced_by is None:
        return
    if (replaced_by.organisation_id, replaced_by.kind) != (organisation_id, certificate.kind):
        raise RevocationError(
            "A certificate is replaced by one of the same organisation and kind.",
            hint="Make the new certificate first.",
        )
    if replaced_by.created_at <= certificate.created_at:
        raise RevocationError("A certificate is replaced by a later one.")
