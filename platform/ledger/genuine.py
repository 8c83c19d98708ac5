"""Certificates as their signatures and the log bear them out, whatever their rows say."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from django.conf import settings

from ledger.models import Certificate, Checkpoint, Entry
from ledger.selectors import (
    certificate_file,
    certificate_proof,
    entry_proof,
    policy,
    revocation_of,
    trust,
)
from spellmark.certificates import cosignatures, dsse, notes, timestamps, tlog_proof
from spellmark.certificates.certificate import CertificateFile, read
from spellmark.certificates.checkpoints import Logs
from spellmark.certificates.entries import certificate_digest, certificate_entry
from spellmark.certificates.errors import VerificationError
from spellmark.certificates.statements import Statement, parse
from spellmark.errors import SpellmarkError


@dataclass(frozen=True)
class Genuine:
    """What a certificate says, and where and when it stands in the log.

    logged_at: by the log's own clock. stamped_at: by an outside authority of RFC 3161, if one was
    asked. cosigned_at: when a witness saw the first checkpoint over it, if one did.
    """

    statement: Statement
    digest: str
    index: int
    logged_at: datetime
    stamped_at: datetime | None
    cosigned_at: datetime | None
    revoked: bool

    @property
    def vouched_at(self) -> datetime | None:
        """By when it existed, by the word of somebody outside; None where nobody was asked."""
        return min(filter(None, (self.stamped_at, self.cosigned_at)), default=None)


def certificate_genuine(certificate: Certificate) -> Genuine:
    """The certificate from its signed bytes and its proof alone, checked.

    A row that was edited or dated back contradicts them. Raises NotYetLoggedError,
    VerificationError, FormatError.
    """
    file, trusted = read(certificate_file(certificate)), trust()
    envelope, keys = file.envelope, trusted.by_keyid()
    dsse.verify(envelope, {keyid: key.public_key for keyid, key in keys.items()})
    statement = parse(envelope.payload)
    if not keys[envelope.keyid].is_valid_at(statement.stated_at):
        raise VerificationError("The certificate's key was not valid when it says it was made.")
    if certificate_digest(envelope) != certificate.digest:
        raise VerificationError("The certificate is kept under the digest of another one.")
    proof, logged = certificate_proof(certificate), certificate_entry(envelope)
    logs = trusted.logs(statement.stated_at)
    tlog_proof.verify(proof, logged, logs)
    entry = Entry.objects.get(index=proof.index)
    if entry.integrated_at < statement.stated_at - timestamps.CLOCK_SKEW:
        raise VerificationError("The certificate stands in the log before it says it was made.")
    return Genuine(
        statement=statement,
        digest=certificate.digest,
        index=proof.index,
        logged_at=entry.integrated_at,
        stamped_at=stamped_at(file),
        cosigned_at=_cosigned_at(proof.index, logged, logs),
        revoked=revocation_of(certificate) is not None,
    )


def stamped_at(file: CertificateFile) -> datetime | None:
    """When an authority that this installation trusts stamped the signature; None if none did."""
    authorities = [timestamps.load_authority(pem) for pem in settings.TIMESTAMP_AUTHORITIES]
    found = []
    for response in file.timestamps:
        with suppress(SpellmarkError):
            found.append(timestamps.verify(response, file.envelope.signature, authorities))
    return min(found, default=None)


def _cosigned_at(index: int, logged: bytes, logs: Logs) -> datetime | None:
    """When the first witness put its name under the first checkpoint over this entry."""
    row = Checkpoint.objects.filter(size__gt=index).order_by("size").first()
    if row is None:
        return None
    # The note itself must cover the entry: another one's time would date it back.
    proof = entry_proof(index, row)
    tlog_proof.verify(proof, logged, logs)
    note = notes.parse(proof.checkpoint)
    witnesses = {(one.verifier.name, one.verifier.key_id) for one in policy().cosigners(note)}
    times = [
        cosignatures.split(line.signature)[0]
        for line in note.signatures
        if (line.name, line.key_id) in witnesses
    ]
    return datetime.fromtimestamp(min(times), UTC) if times else None
