"""A new signing key: the one before it goes on for an overlap, then ends.

While two log keys are valid both sign every checkpoint. Of certificate keys the new one signs from
the start, and the old one vouches for it with a succession that stands in the log.
"""

import uuid
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.ec import (
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from django.db import transaction
from django.utils import timezone

from ledger.keys import certificate_key, key_create, key_publish
from ledger.models import SigningKey
from ledger.selectors import SUCCESSION
from ledger.services import certificate_issue
from spellmark.certificates import keys
from spellmark.certificates.keys import SigningKeyError
from spellmark.certificates.statements import Succession

# Of the installation, not of an organisation.
NOBODY = uuid.UUID(int=0)
# For what other processes are just signing with the old certificate key.
LEAST_OVERLAP = timedelta(minutes=1)


def key_rotate(*, purpose: SigningKey.Purpose, overlap: timedelta) -> SigningKey:
    """Add a key; the ones before it end after the overlap. As the database's owner only.

    A certificate key ends a minute from now at the earliest. What was signed stays good: keys keep
    their times in the key set. Raises SigningKeyError.
    """
    if overlap < timedelta(0):
        raise SigningKeyError("The overlap is negative.", hint="Give 0 days or more.")
    # Asked for first: where no key can vouch for a new one none is made.
    old = certificate_key() if purpose == SigningKey.Purpose.CERTIFICATE else None
    new, now = key_create(purpose), timezone.now()
    with transaction.atomic():
        if old is not None:
            _succeed(old, new.public_key(), now)
            overlap = max(overlap, LEAST_OVERLAP)
        current = SigningKey.objects.filter(purpose=purpose, valid_until=None)
        current.update(valid_until=now + overlap)
        return key_publish(purpose, new, valid_from=now)


def _succeed(old: EllipticCurvePrivateKey, new: EllipticCurvePublicKey, now: datetime) -> None:
    statement = Succession(keyid=keys.keyid(new), public_key=keys.public_pem(new), valid_from=now)
    certificate_issue(
        organisation_id=NOBODY,
        kind=SUCCESSION,
        title="A new key signs certificates",
        statement=statement,
        key=old,
    )
