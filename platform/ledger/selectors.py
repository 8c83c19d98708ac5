"""Reading the log: entries, checkpoints, proofs, certificates, the trust file.

The log itself is public within the installation; certificates belong to organisations.
"""

import uuid
from collections.abc import Iterable
from contextlib import suppress
from functools import reduce
from operator import or_

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from django.conf import settings
from django.db.models import Q, QuerySet

from ledger.models import (
    Certificate,
    Checkpoint,
    Entry,
    Node,
    Revocation,
    SigningKey,
    Timestamp,
)
from spellmark.certificates import keys, merkle, revocations
from spellmark.certificates.bundle import Bundle
from spellmark.certificates.certificate import dumps, loads
from spellmark.certificates.notes import Verifier
from spellmark.certificates.statements import Statement, parse
from spellmark.certificates.tlog_proof import TlogProof
from spellmark.certificates.trust import CertificateKey, LogKey, Trust
from spellmark.errors import SpellmarkError


class NotYetLoggedError(SpellmarkError):
    """A proof of something that waits for its place in the log."""


def checkpoint_latest() -> Checkpoint | None:
    """The newest checkpoint."""
    return Checkpoint.objects.order_by("-size").first()


def checkpoint_list() -> QuerySet[Checkpoint]:
    """All checkpoints, newest first."""
    return Checkpoint.objects.order_by("-size")


def entry_list() -> QuerySet[Entry]:
    """All entries, newest first."""
    return Entry.objects.order_by("-index")


def certificate_list(*, organisation_id: uuid.UUID) -> QuerySet[Certificate]:
    """The organisation's certificates, newest first."""
    return Certificate.objects.filter(organisation_id=organisation_id)


def certificate_entry_of(certificate: Certificate) -> Entry | None:
    """The certificate's place in the log, or None while it waits."""
    return Entry.objects.filter(leaf_hash=bytes(certificate.leaf_hash)).first()


def certificate_statement(certificate: Certificate) -> Statement:
    """What the certificate says."""
    return parse(loads(bytes(certificate.body)).payload)


def certificate_proof(certificate: Certificate) -> TlogProof:
    """The proof that the certificate stands in the log. Raises NotYetLoggedError."""
    entry, checkpoint = certificate_entry_of(certificate), checkpoint_latest()
    if entry is None or checkpoint is None:
        raise NotYetLoggedError(
            "This certificate waits for its place in the log.", hint="Try again in a few seconds."
        )
    return entry_proof(entry.index, checkpoint)


def certificate_bundle(certificate: Certificate) -> Bundle:
    """The certificate with its proof, for the hand of a verifier. Raises NotYetLoggedError."""
    return Bundle(
        certificate=certificate_file(certificate),
        proof=certificate_proof(certificate).dumps(),
        revocations=certificate_revocations(certificate),
    )


def certificate_file(certificate: Certificate) -> bytes:
    """`certificate.sigstore.json`, with its timestamp once there is one."""
    timestamp = Timestamp.objects.filter(certificate=certificate).first()
    body = bytes(certificate.body)
    return dumps(loads(body), [bytes(timestamp.response)]) if timestamp else body


def certificate_revocations(certificate: Certificate) -> bytes | None:
    """The list of this certificate's revocation, or None for one that holds."""
    found = revocation_of(certificate)
    return revocations.dumps([_revoked(found)]) if found else None


def revocation_of(certificate: Certificate) -> Revocation | None:
    """What withdrew the certificate, or None for one that holds."""
    return Revocation.objects.filter(certificate=certificate).select_related("by").first()


def revocation_list() -> bytes:
    """The list of all revocations that stand in the log, for verifiers."""
    rows = Revocation.objects.select_related("by").order_by("by__created_at")
    logged = []
    for row in rows:
        with suppress(NotYetLoggedError):
            logged.append(_revoked(row))
    return revocations.dumps(logged)


def _revoked(row: Revocation) -> revocations.Revoked:
    return revocations.Revoked(bytes(row.by.body), certificate_proof(row.by).dumps())


def entry_proof(index: int, checkpoint: Checkpoint) -> TlogProof:
    """The proof that the entry at `index` is under the checkpoint."""
    nodes = nodes_get(merkle.inclusion_nodes(index, checkpoint.size))
    hashes = merkle.inclusion_proof(index, checkpoint.size, merkle.reader(nodes))
    return TlogProof(index, tuple(hashes), bytes(checkpoint.note))


def consistency_proof(old_size: int, new_size: int) -> list[bytes]:
    """The proof that the log of `new_size` entries begins with that of `old_size`."""
    nodes = nodes_get(merkle.consistency_nodes(old_size, new_size))
    return merkle.consistency_proof(old_size, new_size, merkle.reader(nodes))


def nodes_get(wanted: Iterable[merkle.Node]) -> dict[merkle.Node, bytes]:
    """Stored subtree hashes by (level, index), in one query."""
    conditions = [Q(level=level, index=index) for level, index in wanted]
    if not conditions:
        return {}
    found = Node.objects.filter(reduce(or_, conditions))
    return {(node.level, node.index): bytes(node.hash) for node in found}


def trust() -> Trust:
    """The trust file of this installation, to be handed to verifiers."""
    certificate_keys, log_keys = [], []
    for key in SigningKey.objects.all():
        if key.purpose == SigningKey.Purpose.CERTIFICATE:
            public = keys.load_public_p256(key.public_pem)
            certificate_keys.append(CertificateKey(public, key.valid_from, key.valid_until))
        else:
            log_key = load_pem_public_key(key.public_pem.encode())
            assert isinstance(log_key, Ed25519PublicKey)
            verifier = Verifier(settings.LOG_ORIGIN, log_key.public_bytes_raw())
            log_keys.append(LogKey(settings.LOG_ORIGIN, verifier))
    return Trust(tuple(certificate_keys), tuple(log_keys), settings.TIMESTAMP_AUTHORITIES)
