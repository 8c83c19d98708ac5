"""The installation's signing keys: private halves in files, public halves in the key set."""

from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings

from ledger.models import SigningKey
from spellmark.certificates import keys
from spellmark.certificates.notes import Signer


def ensure_signing_keys() -> None:
    """Make the certificate key and the log key at first start, and publish their public halves."""
    settings.KEYS.mkdir(mode=0o700, parents=True, exist_ok=True)
    for purpose, path, generate in (
        (SigningKey.Purpose.CERTIFICATE, _certificate_path(), keys.generate_p256),
        (SigningKey.Purpose.LOG, _log_path(), keys.generate_ed25519),
    ):
        if not path.exists():
            keys.save(generate(), path)
        made_at = datetime.fromtimestamp(int(path.stat().st_mtime), UTC)
        public = _public(purpose)
        SigningKey.objects.get_or_create(
            keyid=keys.keyid(public),
            defaults={
                "purpose": purpose,
                "public_pem": keys.public_pem(public),
                "valid_from": made_at,
            },
        )


def certificate_key() -> EllipticCurvePrivateKey:
    """The key that signs certificates."""
    path = _certificate_path()
    # A rotation puts another file there, while this process runs.
    return _load_certificate_key(path, path.stat().st_ino if path.exists() else 0)


def log_signer() -> Signer:
    """The key that signs checkpoints, under the log's name."""
    return Signer(settings.LOG_ORIGIN, _load_log_key(_log_path()))


@cache
def _load_certificate_key(path: Path, inode: int) -> EllipticCurvePrivateKey:
    return keys.load_p256(path)


@cache
def _load_log_key(path: Path) -> Ed25519PrivateKey:
    return keys.load_ed25519(path)


def _public(purpose: str) -> keys.PublicKey:
    if purpose == SigningKey.Purpose.CERTIFICATE:
        return certificate_key().public_key()
    return log_signer().private_key.public_key()


def _certificate_path() -> Path:
    return Path(settings.KEYS) / "certificate.pem"


def _log_path() -> Path:
    return Path(settings.KEYS) / "log.pem"
