"""RFC 3161 timestamps, fetched after the fact: no certificate waits for an outsider."""

import logging
from collections.abc import Iterator
from itertools import islice

import httpx
from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from ledger.keys import valid_keys
from ledger.models import Certificate, SigningKey, Timestamp
from spellmark.certificates import timestamps
from spellmark.certificates.certificate import loads
from spellmark.errors import SpellmarkError

LOG = logging.getLogger("spellmark.ledger")

MAX_RESPONSE_BYTES = 65_536
TIMEOUT_SECONDS = 15


class TimestampError(SpellmarkError):
    """An authority that gave no timestamp, or one that does not verify."""


def certificates_stamp(*, batch: int = 100) -> int:
    """Fetch timestamps for the oldest certificates that have none; how many were stamped.

    Does nothing where no authority is named, and stops at the first that gives no good answer: the
    next round tries again. A certificate whose key has ended gets none: a stamp of today would say
    that it was made after its key's time.
    """
    if not settings.TIMESTAMP_URL:
        return 0
    waiting = list(islice(_unstamped(), batch))
    for done, certificate in enumerate(waiting):
        try:
            certificate_stamp(certificate=certificate)
        except TimestampError as error:
            LOG.warning("Certificates wait for their timestamps: %s", error)
            return done
    return len(waiting)


def _unstamped() -> Iterator[Certificate]:
    valid = valid_keys(SigningKey.Purpose.CERTIFICATE)
    keyids = {key.keyid for key in valid}
    since = min((key.valid_from for key in valid), default=timezone.now())
    rows = Certificate.objects.filter(timestamp=None, created_at__gte=since)
    for certificate in rows.order_by("created_at").iterator():
        if loads(bytes(certificate.body)).keyid in keyids:
            yield certificate


def certificate_stamp(*, certificate: Certificate) -> Timestamp:
    """Fetch and check the timestamp of one certificate. Raises TimestampError."""
    signature = loads(bytes(certificate.body)).signature
    response = _ask(timestamps.request(signature))
    authorities = [timestamps.load_authority(pem) for pem in settings.TIMESTAMP_AUTHORITIES]
    try:
        stamped_at = timestamps.verify(response, signature, authorities)
    except SpellmarkError as error:
        raise TimestampError(
            f"The answer of {settings.TIMESTAMP_URL} does not verify: {error}",
            hint="Put the authority's certificates into SPELLMARK_TIMESTAMP_CERTIFICATES.",
        ) from None
    try:
        with transaction.atomic():
            return Timestamp.objects.create(
                certificate=certificate, response=response, stamped_at=stamped_at
            )
    except IntegrityError:
        # Another worker was faster.
        return Timestamp.objects.get(certificate=certificate)


def _ask(request: bytes) -> bytes:
    headers = {"Content-Type": "application/timestamp-query"}
    try:
        with httpx.stream(
            "POST",
            settings.TIMESTAMP_URL,
            content=request,
            headers=headers,
            timeout=TIMEOUT_SECONDS,
        ) as response:
            response.raise_for_status()
            answer = b""
            for piece in response.iter_bytes():
                answer += piece
                if len(answer) > MAX_RESPONSE_BYTES:
                    raise TimestampError(f"{settings.TIMESTAMP_URL} sends far too much.")
            return answer
    except httpx.HTTPError as error:
        raise TimestampError(
            f"The timestamp authority {settings.TIMESTAMP_URL} gives no answer: {error}",
            hint="Check SPELLMARK_TIMESTAMP_URL; certificates are made and logged all the same.",
        ) from None
