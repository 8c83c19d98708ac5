"""A new certificate key: the old one vouches for it in the log, and ends."""

import uuid
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from ledger.keys import certificate_key
from ledger.models import Certificate, SigningKey
from ledger.services import certificate_issue
from spellmark.certificates import keys
from spellmark.certificates.statements import Succession

SUCCESSION = "succession"
# Of the installation, not of an organisation.
NOBODY = uuid.UUID(int=0)
# For what other processes are just signing.
OVERLAP = timedelta(minutes=1)


@transaction.atomic
def certificate_key_rotate() -> Certificate:
    """Make a new certificate key and end the old one; the logged succession back.

    Runs as the database's owner, like `manage.py setup`. Certificates of the old key stay good: its
    time in the trust file only gets an end. Its private half is kept as `…retired.pem`, for whoever
    runs the installation to destroy. Raises SigningKeyError.
    """
    folder = Path(settings.KEYS)
    current, old = folder / "certificate.pem", certificate_key()
    new, now = keys.generate_p256(), timezone.now().replace(microsecond=0)
    public = new.public_key()
    keys.save(new, folder / "certificate.new.pem")
    try:
        certificate = certificate_issue(
            organisation_id=NOBODY,
            kind=SUCCESSION,
            title="A new key signs certificates",
            statement=Succession(
                keyid=keys.keyid(public), public_key=keys.public_pem(public), valid_from=now
            ),
            key=old,
        )
        SigningKey.objects.filter(keyid=keys.keyid(old.public_key())).update(
            valid_until=now + OVERLAP
        )
        SigningKey.objects.create(
            keyid=keys.keyid(public),
            purpose=SigningKey.Purpose.CERTIFICATE,
            public_pem=keys.public_pem(public),
            valid_from=now,
        )
        retired = folder / f"certificate-{keys.keyid(old.public_key())[:16]}.retired.pem"
        retired.hardlink_to(current)
        (folder / "certificate.new.pem").replace(current)
    except BaseException:
        (folder / "certificate.new.pem").unlink(missing_ok=True)
        raise
    return certificate
