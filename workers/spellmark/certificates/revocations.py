"""The list of revocations: which certificates their issuer has withdrawn or replaced.

Each is a certificate of its own with its proof from the log: nothing is ever edited. A bundle that
is handed over after a revocation holds it; against an older one only a newer list helps.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spellmark.certificates import certificate, dsse, entries, statements, tlog_proof
from spellmark.certificates.encoding import from_canonical_json, to_json, to_time
from spellmark.certificates.errors import FormatError, VerificationError
from spellmark.certificates.fields import Fields
from spellmark.certificates.statements import Revocation
from spellmark.certificates.trust import Trust

FORMAT = "spellmark-revocations/v1"
MAX_LIST_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class Revoked:
    """One revocation: the bytes of its certificate file and of its `.tlog-proof`."""

    certificate: bytes
    proof: bytes


def dumps(revocations: list[Revoked]) -> bytes:
    """The list's bytes, canonical JSON. Raises FormatError."""
    return to_json(
        {
            "format": FORMAT,
            "revocations": [
                {
                    "certificate": from_canonical_json(one.certificate, "The certificate"),
                    "proof": one.proof.decode(),
                }
                for one in revocations
            ],
        }
    )


def loads(data: bytes) -> list[Revoked]:
    """Read a list; nothing is verified yet. Raises FormatError."""
    fields = Fields(from_canonical_json(data, "The list of revocations"), "The list of revocations")
    fields.only(["format", "revocations"])
    fields.choice("format", [FORMAT])
    return [_revoked(value) for value in fields.array("revocations")]


def load(path: Path) -> list[Revoked]:
    """Read a list from disk. Raises FormatError."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_LIST_BYTES + 1)
    except OSError as error:
        raise FormatError(
            f"The list of revocations {path} cannot be read: {error.strerror}.",
            hint="Check the path.",
        ) from None
    if len(data) > MAX_LIST_BYTES:
        raise FormatError(f"The list of revocations {path} is longer than it may be.")
    return loads(data)


def check(revocations: list[Revoked], digest: str, trust: Trust) -> None:
    """Refuse a certificate that the list revokes, by the digest of its log entry.

    A revocation counts only with a trusted signature and its place in a trusted log; one that names
    this certificate without them is refused as well, because the list was then altered.
    Raises FormatError, VerificationError.
    """
    for one in revocations:
        envelope = certificate.loads(one.certificate)
        statement = statements.parse(envelope.payload)
        if not isinstance(statement, Revocation):
            raise FormatError("The list of revocations holds something that is none.")
        if statement.certificate_digest != digest:
            continue
        _verify(one, envelope, statement, trust)
        what = "revoked"
        if statement.replaced_by is not None:
            what = f"replaced by {statement.replaced_by[:16]}…"
        raise VerificationError(
            f"The certificate was {what} at {to_time(statement.revoked_at)}: {statement.reason}",
            hint="Ask its issuer what holds now.",
        )


def _verify(one: Revoked, envelope: dsse.Envelope, statement: Revocation, trust: Trust) -> None:
    keys = trust.by_keyid()
    dsse.verify(envelope, {keyid: key.public_key for keyid, key in keys.items()})
    if not keys[envelope.keyid].is_valid_at(statement.revoked_at):
        raise VerificationError("A revocation was signed by a key outside the key's time.")
    proof = tlog_proof.TlogProof.loads(one.proof)
    logs = trust.logs(statement.revoked_at)
    tlog_proof.verify(proof, entries.certificate_entry(envelope), logs)


def _revoked(value: Any) -> Revoked:
    fields = Fields(value, "A revocation of the list")
    fields.only(["certificate", "proof"])
    return Revoked(to_json(fields.object("certificate")), fields.text("proof").encode())
