"""Sealing a job's secret: AES-256-GCM under a data key that the key-encryption key wraps.

Both layers are bound to the job by associated data, so a sealed secret moved to another job's row
does not open.
"""

import json
import os
from hashlib import sha256
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

from config.keys import load_secret
from jobs.models import Job, SealedSecret
from spellmark.errors import SpellmarkError

NONCE_BYTES = 12


class SealError(SpellmarkError):
    """A sealed secret that does not open."""


def seal(job: Job, secret: dict[str, Any]) -> SealedSecret:
    """Encrypt `secret` (JSON) for this job and store it."""
    kek_id, kek = _kek()
    data_key = AESGCM.generate_key(256)
    return SealedSecret.objects.create(
        job=job,
        kek_id=kek_id,
        wrapped_key=_encrypt(kek, data_key, job),
        ciphertext=_encrypt(data_key, json.dumps(secret).encode(), job),
    )


def unseal(job: Job) -> dict[str, Any]:
    """Decrypt this job's secret. Raises SealError."""
    hint = "Start the job again with the key file."
    try:
        sealed = job.sealed
    except SealedSecret.DoesNotExist:
        raise SealError("The secret of this job is no longer here.", hint=hint) from None
    kek_id, kek = _kek()
    if sealed.kek_id != kek_id:
        raise SealError("This job's secret is sealed under another key-encryption key.", hint=hint)
    try:
        data_key = _decrypt(kek, bytes(sealed.wrapped_key), job)
        secret: dict[str, Any] = json.loads(_decrypt(data_key, bytes(sealed.ciphertext), job))
    except InvalidTag:
        raise SealError("The secret of this job was altered.", hint=hint) from None
    return secret


def _kek() -> tuple[str, bytes]:
    kek = bytes.fromhex(load_secret(settings.KEYS, "kek"))
    return sha256(b"spellmark kek id" + kek).hexdigest()[:16], kek


def _encrypt(key: bytes, plain: bytes, job: Job) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plain, _associated(job))


def _decrypt(key: bytes, sealed: bytes, job: Job) -> bytes:
    return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], _associated(job))


def _associated(job: Job) -> bytes:
    return f"{job.organisation_id}|{job.id}".encode()
