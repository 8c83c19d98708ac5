"""The installation's signing keys: private halves in the key store, public halves in the key set.

Each key has a time of validity. While two log keys are valid both sign every checkpoint, so that
verifiers with the old trust file and with the new one go on believing the log.
"""

import re
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from django.conf import settings
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from ledger.key_store import KeyFiles, KeyStore, key_store
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
    """Make the certificate key and the log keys at first start, and publish the public halves.

    A purpose with a published key that is held here and has no end gets no other one, so that old
    keys may be destroyed after a rotation.
    """
    store = key_store()
    for purpose in purposes():
        held = {keys.keyid(store.open(n).public_key()): n for n in key_names(store, purpose)}
        rows = SigningKey.objects.filter(keyid__in=held)
        if rows.filter(valid_until=None).exists():
            continue
        published = set(rows.values_list("keyid", flat=True))
        names = [name for keyid, name in held.items() if keyid not in published]
        if not names:
            names = [_free_name(purpose, list(held.values()))]
            store.create(names[0], ALGORITHMS[purpose])
        newest = max(names, key=store.created_at)
        key_publish(purpose, store.open(newest), valid_from=store.created_at(newest))
    if isinstance(store, KeyFiles):
        store.encrypt()


def key_create(purpose: SigningKey.Purpose) -> Any:
    """Make a key beside those that there are; the private key. It is not yet published."""
    store = key_store()
    name = _free_name(purpose, key_names(store, purpose))
    store.create(name, ALGORITHMS[purpose])
    return store.open(name)


def key_names(store: KeyStore, purpose: SigningKey.Purpose) -> list[str]:
    """The names of the keys of one purpose: `log`, `log-2`, `log-3`…"""
    return [name for name in store.names() if re.fullmatch(f"{purpose}(-[0-9]+)?", name)]


def _free_name(purpose: SigningKey.Purpose, taken: list[str]) -> str:
    names = (str(purpose), *(f"{purpose}-{n}" for n in range(2, 10_000)))
    return next(name for name in names if name not in taken)


def valid_keys(*purposes: str, at: datetime | None = None) -> QuerySet[SigningKey]:
    """The keys that may sign at a moment, now if it is None."""
    moment = at or timezone.now()
    return SigningKey.objects.filter(
        Q(valid_until=None) | Q(valid_until__gt=moment),
        purpose__in=purposes,
        valid_from__lte=moment,
    )


def certificate_key(*, stated_at: datetime | None = None) -> EllipticCurvePrivateKey:
    """The key that signs certificates: the newest that is valid. Raises SigningKeyError.

    For a statement of an earlier moment it is the newest that was valid then, if it still is: what
    was under way during a rotation must not get a key that is younger than itself.
    """
    private = _private_keys()
    # Of two that were made in the same second, the one that nothing has replaced.
    lasting = F("valid_until").desc(nulls_first=True)
    valid = valid_keys(SigningKey.Purpose.CERTIFICATE).order_by("-valid_from", lasting)
    rows = [row for row in valid if row.keyid in private]
    if not rows:
        raise _no_key("certificates")
    fitting = [row for row in rows if stated_at is None or row.valid_from <= stated_at]
    key: EllipticCurvePrivateKey = private[(fitting or rows)[0].keyid]
    return key


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


def _private_keys() -> dict[str, Any]:
    """What the key store holds, by key id."""
    store = key_store()
    opened = [store.open(name) for name in store.names()]
    return {keys.keyid(key.public_key()): key for key in opened}


def key_publish(purpose: str, private_key: Any, *, valid_from: datetime) -> SigningKey:
    """Put a key's public half into the key set."""
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
