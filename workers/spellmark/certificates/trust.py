"""The trust file: which keys may sign certificates, and which logs are believed.

It must reach a verifier by another way than the evidence it is to judge.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from spellmark.certificates import keys
from spellmark.certificates.checkpoints import Logs
from spellmark.certificates.encoding import from_json, to_time
from spellmark.certificates.errors import FormatError
from spellmark.certificates.fields import Fields
from spellmark.certificates.notes import ED25519, ML_DSA_44, Verifier
from spellmark.certificates.timestamps import CLOCK_SKEW, load_authority

FORMAT = "spellmark-trust/v1"
MAX_TRUST_BYTES = 1_000_000


@dataclass(frozen=True)
class CertificateKey:
    """A P-256 key that may sign certificates within its time; `valid_until` None is without end."""

    public_key: EllipticCurvePublicKey
    valid_from: datetime
    valid_until: datetime | None

    @property
    def keyid(self) -> str:
        return keys.keyid(self.public_key)

    def is_valid_at(self, moment: datetime) -> bool:
        return self.valid_from <= moment and (
            self.valid_until is None or moment <= self.valid_until
        )


@dataclass(frozen=True)
class LogKey:
    """A key that may sign the checkpoints of the log `origin` within its time.

    `valid_from` None is a time that nobody told, `valid_until` None is without end.
    """

    origin: str
    verifier: Verifier
    valid_from: datetime | None = None
    valid_until: datetime | None = None

    def may_cover(self, stated_at: datetime) -> bool:
        """Whether the key may have signed a checkpoint over what was stated at this moment.

        Not once it had ended by then. A later key may: checkpoints are signed over all before them.
        """
        return self.valid_until is None or stated_at <= self.valid_until + CLOCK_SKEW


@dataclass(frozen=True)
class Trust:
    """Trusted certificate keys and log keys. Several of each serve the change from key to key."""

    certificate_keys: tuple[CertificateKey, ...]
    log_keys: tuple[LogKey, ...]
    timestamp_authorities: tuple[str, ...] = ()
    """Certificates of each trusted RFC 3161 authority, PEM: its own first, its root last."""

    def by_keyid(self) -> dict[str, CertificateKey]:
        return {key.keyid: key for key in self.certificate_keys}

    def logs(self, stated_at: datetime | None = None) -> Logs:
        """The keys of each log: all, or those that may cover what was stated at a moment."""
        found: dict[str, list[Verifier]] = {key.origin: [] for key in self.log_keys}
        for key in self.log_keys:
            if stated_at is None or key.may_cover(stated_at):
                found[key.origin].append(key.verifier)
        return found

    def dumps(self) -> bytes:
        """The trust file's bytes: one JSON object. Raises FormatError for a key listed twice."""
        value: dict[str, Any] = {
            "format": FORMAT,
            "certificateKeys": [_key_to_json(key) for key in self.certificate_keys],
            "logs": [_log_to_json(key) for key in self.log_keys],
        }
        if self.timestamp_authorities:
            value["timestampAuthorities"] = list(self.timestamp_authorities)
        data = (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()
        Trust.loads(data)
        return data

    def save(self, path: Path) -> None:
        """Write the trust file."""
        path.write_bytes(self.dumps())

    @classmethod
    def loads(cls, data: bytes) -> "Trust":
        """Read a trust file. Raises FormatError, SigningKeyError.

        Unknown fields are refused: a newer file may ask for more than this reader would check.
        """
        fields = Fields(from_json(data, "The trust file"), "The trust file")
        fields.choice("format", [FORMAT])
        fields.only(["format", "certificateKeys", "logs", "timestampAuthorities"])
        trust = cls(
            tuple(_key_from_json(value) for value in fields.array("certificateKeys")),
            tuple(_log_from_json(value) for value in fields.array("logs")),
            _authorities(fields),
        )
        _refuse_twins("certificate key", (key.keyid for key in trust.certificate_keys))
        _refuse_twins("log key", (key.verifier.vkey for key in trust.log_keys))
        return trust

    @classmethod
    def load(cls, path: Path) -> "Trust":
        """Read a trust file from disk. Raises FormatError, SigningKeyError."""
        try:
            with path.open("rb") as file:
                data = file.read(MAX_TRUST_BYTES + 1)
        except OSError as error:
            raise FormatError(
                f"The trust file {path} cannot be read: {error.strerror}.", hint="Check the path."
            ) from None
        if len(data) > MAX_TRUST_BYTES:
            raise FormatError(f"The trust file {path} is longer than {MAX_TRUST_BYTES} bytes.")
        return cls.loads(data)


def _key_to_json(key: CertificateKey) -> dict[str, Any]:
    return {
        "keyid": key.keyid,
        "publicKey": keys.public_pem(key.public_key),
        "validFrom": to_time(key.valid_from),
        "validUntil": None if key.valid_until is None else to_time(key.valid_until),
    }


def _key_from_json(value: Any) -> CertificateKey:
    fields = Fields(value, "A certificate key of the trust file")
    fields.only(["keyid", "publicKey", "validFrom", "validUntil"])
    # Without the field a key would hold for ever by a slip: no end has to be written as null.
    fields.raw("validUntil")
    key = CertificateKey(
        keys.load_public_p256(fields.text("publicKey")),
        fields.time("validFrom"),
        fields.or_none(fields.time, "validUntil"),
    )
    if key.keyid != fields.sha256("keyid"):
        raise FormatError("A key id in the trust file is not that of the key beside it.")
    return key


def _log_to_json(key: LogKey) -> dict[str, Any]:
    value: dict[str, Any] = {"origin": key.origin, "vkey": key.verifier.vkey}
    if key.valid_from is not None:
        value |= {"validFrom": to_time(key.valid_from), "validUntil": None}
    if key.valid_until is not None:
        value["validUntil"] = to_time(key.valid_until)
    return value


def _log_from_json(value: Any) -> LogKey:
    fields = Fields(value, "A log of the trust file")
    fields.only(["origin", "vkey", "validFrom", "validUntil"])
    verifier = Verifier.from_vkey(fields.text("vkey"))
    if verifier.kind not in (ED25519, ML_DSA_44):
        raise FormatError(
            "A log key of the trust file is a witness's, of the type 0x04.",
            hint="A cosignature alone does not make a checkpoint the log's word.",
        )
    if "validFrom" in fields.values:
        fields.raw("validUntil")  # no end has to be written as null here, too
    return LogKey(
        fields.text("origin"),
        verifier,
        fields.or_none(fields.time, "validFrom"),
        fields.or_none(fields.time, "validUntil"),
    )


def _authorities(fields: Fields) -> tuple[str, ...]:
    if "timestampAuthorities" not in fields.values:
        return ()
    authorities = fields.texts("timestampAuthorities")
    for pem in authorities:
        load_authority(pem)
    return authorities


def _refuse_twins(what: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise FormatError(f"The trust file lists a {what} twice.")
        seen.add(name)
