"""Certificates held against the log, the key set and the timestamp authorities."""

from collections.abc import Mapping, Sequence

from cryptography.x509 import Certificate as X509Certificate
from django.conf import settings
from django.db.models import Exists, OuterRef

from ledger.faults import fault
from ledger.models import Certificate, Entry, QueuedEntry, Timestamp
from ledger.selectors import trust
from spellmark.certificates import dsse, merkle, timestamps
from spellmark.certificates.certificate import loads
from spellmark.certificates.dsse import Envelope
from spellmark.certificates.entries import certificate_digest, certificate_entry, certificate_in
from spellmark.certificates.errors import FormatError, VerificationError
from spellmark.certificates.statements import Revocation, Statement, kind_of, parse, subjects_of
from spellmark.certificates.trust import CertificateKey

CHUNK = 4096
NO_AUTHORITY = (
    "Timestamps were read, but not checked: SPELLMARK_TIMESTAMP_CERTIFICATES names no authority."
)

_Authorities = Sequence[Sequence[X509Certificate]]


def check_certificates() -> list[str]:
    """Every certificate is what was signed and logged, and none is missing; else raises LogFault.

    Gives what could not be told.
    """
    keys = trust().by_keyid()
    authorities = [timestamps.load_authority(pem) for pem in settings.TIMESTAMP_AUTHORITIES]
    rows = Certificate.objects.select_related("revokes__certificate", "timestamp")
    for certificate in rows.prefetch_related("subjects").iterator(chunk_size=1000):
        try:
            envelope = loads(bytes(certificate.body))
            statement = parse(envelope.payload)
        except FormatError as error:
            raise fault(f"{_name(certificate)} was changed: {_bare(error)}") from None
        _check_place(certificate, envelope)
        _check_signature(certificate, envelope, statement, keys)
        _check_row(certificate, envelope, statement)
        if stamp := getattr(certificate, "timestamp", None):
            _check_timestamp(stamp, envelope, authorities)
    _check_missing()
    return [NO_AUTHORITY] if not authorities and Timestamp.objects.exists() else []


def _check_place(certificate: Certificate, envelope: Envelope) -> None:
    """The row names the entry of the certificate's own bytes, which is in the log or on its way."""
    logged = Entry.objects.filter(leaf_hash=bytes(certificate.leaf_hash)).first()
    entry = certificate_entry(envelope)
    leaf = merkle.leaf_hash(entry)
    if (certificate.digest, bytes(certificate.leaf_hash)) != (certificate_digest(envelope), leaf):
        where = f"the one in entry {logged.index}" if logged else "the one that was logged"
        raise fault(f"{_name(certificate)} is not {where}")
    if logged is None and not QueuedEntry.objects.filter(body=entry).exists():
        raise fault(f"{_name(certificate)} is not in the log and does not wait for it")


def _check_signature(
    certificate: Certificate,
    envelope: Envelope,
    statement: Statement,
    keys: Mapping[str, CertificateKey],
) -> None:
    """Its entry does not cover the signature, which must be of a key that was valid then."""
    try:
        dsse.verify(envelope, {keyid: key.public_key for keyid, key in keys.items()})
    except VerificationError as error:
        raise fault(f"{_name(certificate)} was signed anew: {_bare(error)}") from None
    if not keys[envelope.keyid].is_valid_at(statement.stated_at):
        raise fault(
            f"{_name(certificate)} was signed by a key that was not valid when it says it was made"
        )


def _check_row(certificate: Certificate, envelope: Envelope, statement: Statement) -> None:
    """What is kept beside the certificate is what it says."""
    if certificate.kind != (kind := kind_of(statement)):
        raise fault(f"{_name(certificate)} is a {kind}, but is kept as a {certificate.kind}")
    told = {subject.name: subject.digest for subject in certificate.subjects.all()}
    if told != subjects_of(envelope.payload):
        raise fault(f"{_name(certificate)} is kept under subjects that it has not")
    withdrawn = statement.certificate_digest if isinstance(statement, Revocation) else None
    row = getattr(certificate, "revokes", None)
    if withdrawn and row is None:
        raise fault(
            f"{_name(certificate)} revokes another one, but its row that says so is missing:"
            " the revocation was hidden"
        )
    if (row.certificate.digest if row else None) != withdrawn:
        raise fault(f"What certificate {certificate.id} revokes was changed")


def _check_timestamp(stamp: Timestamp, envelope: Envelope, authorities: _Authorities) -> None:
    """The response is an authority's, on this signature, and of the time that its row gives."""
    what = f"The timestamp of certificate {stamp.certificate_id}"
    response = bytes(stamp.response)
    try:
        stamped_at = timestamps.decode(response)
        if authorities:
            stamped_at = timestamps.verify(response, envelope.signature, authorities)
    except (FormatError, VerificationError) as error:
        raise fault(
            f"{what} does not hold: {_bare(error)}",
            hint="Restore the database; SPELLMARK_TIMESTAMP_CERTIFICATES must list every authority"
            " that was ever used.",
        ) from None
    if stamped_at != stamp.stamped_at:
        raise fault(f"{what} is kept under another time than it gives")


def _check_missing() -> None:
    """Whatever certificate the log names is still there: a revocation, too, is one."""
    kept = Certificate.objects.filter(leaf_hash=OuterRef("leaf_hash"))
    others = Entry.objects.filter(~Exists(kept)).order_by("index")
    for index, body in others.values_list("index", "body").iterator(chunk_size=CHUNK):
        if digest := certificate_in(bytes(body)):
            raise fault(
                f"Entry {index} is of the certificate {digest[:16]}…, which is missing: it was"
                " deleted"
            )


def _name(certificate: Certificate) -> str:
    return f"Certificate {certificate.id}"


def _bare(error: FormatError | VerificationError) -> str:
    return error.message.rstrip(".")
