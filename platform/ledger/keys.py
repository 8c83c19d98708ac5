"""The installation's signing keys: private halves in the key store, public halves in the key set.

Each key has a time of validity. While two log keys are valid both sign every checkpoint, so that
verifiers with the old trust file and with the new one go on believing the log.
"""

from datetime import datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from ledger.key_store import KeyFiles, key_store
from ledger.models import SigningKey
from spellmark.certificates import keys, notes
from spellmark.certificates.cosignatures import HAS_ML_DSA
from spellmark.certificates.keys import SigningKeyError
from spellmark.certificates.notes import Signer

ALGORITHMS = {
    SigningKey.Purpose.CERTIFICATE: "p256",
    SigningKey.Purpose.LOG: "ed25519",
    SigningKey.Purpose.LOG_ML_DSA: "ml-dsa-44",
}
LOG_KINDS = {
    SigningKey.Purpose.LOG: notes.ED25519,
    SigningKey.Purpose.LOG_ML_DSA: notes.ML_DSA_44,
}


def purposes() -> list[SigningKey.Purpose]:
    """What this installation has keys for: ML-DSA only where `cryptography` offers it."""
    return [p for p in ALGORITHMS if p != SigningKey.Purpose.LOG_ML_DSA or HAS_ML_DSA]


def ensure_signing_keys() -> None:
    """Make the certificate key and the log keys at first start, and publish the public halves."""
    store = key_store()
    for purpose in purposes():
        name = str(purpose)
        if name not in store.names():
            store.create(name, ALGORITHMS[purpose])
        _publish(purpose, store.open(name), valid_from=store.created_at(name))
    if isinstance(store, KeyFiles):
        store.encrypt()


def key_rotate(*, purpose: SigningKey.Purpose, overlap: timedelta) -> SigningKey:
    """Add a key; the ones before it end after the overlap. As the database's owner only.

    Raises SigningKeyError.
    """
    store = key_store()
    taken = store.names()
    name = next(f"{purpose}-{n}" for n in range(2, 10_000) if f"{purpose}-{n}" not in taken)
    store.create(name, ALGORITHMS[purpose])
    now = timezone.now()
    with transaction.atomic():
        current = SigningKey.objects.filter(purpose=purpose, valid_until=None)
        current.update(valid_until=now + overlap)
        return _publish(purpose, store.open(name), valid_from=now)


def valid_keys(*purposes: str, at: datetime | None = None) -> QuerySet[SigningKey]:
    """The keys that may sign at a moment, now if it is None."""
    moment = at or timezone.now()
    return SigningKey.objects.filter(
        Q(valid_until=None) | Q(valid_until__gt=moment),
        purpose__in=purposes,
        valid_from__lte=moment,
    )


def certificate_key() -> EllipticCurvePrivateKey:
    """The key that signs certificates: the newest that is valid. Raises SigningKeyError."""
    private = _private_keys()
    for row in valid_keys(SigningKey.Purpose.CERTIFICATE).order_by("-valid_from"):
        if row.keyid in private:
            key: EllipticCurvePrivateKey = private[row.keyid]
            return key
    raise _no_key("certificates")


def log_signers() -> list[Signer]:
    """All keys that sign checkpoints now, under the log's name. Raises SigningKeyError.

    At least one is of Ed25519, which every verifier understands.
    """
    private = _private_keys()
    rows = [row for row in valid_keys(*LOG_KINDS) if row.keyid in private]
    if not any(row.purpose == SigningKey.Purpose.LOG for row in rows):
        raise _no_key("checkpoints")
    return [
        Signer(settings.LOG_ORIGIN, private[row.keyid], LOG_KINDS[SigningKey.Purpose(row.purpose)])
        for row in rows
    ]


def log_signer() -> Signer:
    """The newest Ed25519 key of the log. Raises SigningKeyError."""
    return [signer for signer in log_signers() if signer.kind == notes.ED25519][-1]


def _private_keys() -> dict[str, Any]:
    """What the key store holds, by key id."""
    store = key_store()
    opened = [store.open(name) for name in store.names()]
    return {keys.keyid(key.public_key()): key for key in opened}


def _publish(purpose: str, private_key: Any, *, valid_from: datetime) -> SigningKey:
    public = private_key.public_key()
    row, _ = SigningKey.objects.get_or_create(
        keyid=keys.keyid(public),
        defaults={
            "purpose": purpose,
            "public_pem": keys.public_pem(public),
            "valid_from": valid_from,
        },
    )
    return row


def _no_key(what: str) -> SigningKeyError:
    return SigningKeyError(
        f"No valid key to sign {what} is in the key store.",
        hint="Run manage.py setup, or put the keys folder back in its place.",
    )
