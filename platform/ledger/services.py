"""What adds to the log: certificates in their business transaction, the sequencer afterwards."""

import uuid

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from django.db import connection, transaction

from config.celery import app
from ledger.keys import certificate_key, log_signer
from ledger.models import Certificate, Checkpoint, Entry, Node, QueuedEntry, Subject
from ledger.selectors import checkpoint_latest, nodes_get
from spellmark.certificates import certificate as certificate_file
from spellmark.certificates import checkpoints, merkle
from spellmark.certificates.entries import certificate_digest, certificate_entry
from spellmark.certificates.statements import Statement, subjects_of

# One sequencer at a time, in however many processes: any fixed number serves as the lock's name.
SEQUENCER_LOCK = 0x5BE11


@transaction.atomic
def certificate_issue(
    *,
    organisation_id: uuid.UUID,
    kind: str,
    title: str,
    statement: Statement,
    key: EllipticCurvePrivateKey | None = None,
) -> Certificate:
    """Sign a statement and queue its log entry, together with the caller's own writes."""
    body = certificate_file.issue(statement, key or certificate_key())
    envelope = certificate_file.loads(body)
    entry = certificate_entry(envelope)
    certificate = Certificate.objects.create(
        organisation_id=organisation_id,
        kind=kind,
        title=title[:200],
        digest=certificate_digest(envelope),
        leaf_hash=merkle.leaf_hash(entry),
        body=body,
    )
    Subject.objects.bulk_create(
        Subject(certificate=certificate, name=name, digest=subject)
        for name, subject in subjects_of(envelope.payload).items()
    )
    QueuedEntry.objects.create(body=entry)
    transaction.on_commit(_wake_sequencer, robust=True)
    return certificate


def _wake_sequencer() -> None:
    app.send_task("tasks.ledger_sequence", queue="ledger", retry=False, expires=10)


@transaction.atomic
def ledger_sequence(*, batch: int = 1000) -> int:
    """Give the queued entries their indexes and sign a checkpoint; how many there were.

    All in one transaction: a signature whose entries did not commit never leaves it.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [SEQUENCER_LOCK])
        if not cursor.fetchone()[0]:
            return 0
    queued = list(QueuedEntry.objects.order_by("id")[:batch])
    if not queued:
        return 0
    latest = checkpoint_latest()
    size = latest.size if latest else 0
    leaves = [merkle.leaf_hash(bytes(entry.body)) for entry in queued]
    known = nodes_get(merkle.root_nodes(size))
    added = {
        (level, index): value
        for level, index, value in merkle.extend(size, leaves, merkle.reader(known))
    }
    Entry.objects.bulk_create(
        Entry(index=size + offset, body=entry.body, leaf_hash=leaf, queued_at=entry.queued_at)
        for offset, (entry, leaf) in enumerate(zip(queued, leaves, strict=True))
    )
    Node.objects.bulk_create(
        Node(level=level, index=index, hash=value) for (level, index), value in added.items()
    )
    new_size = size + len(queued)
    root = merkle.root(new_size, merkle.reader(known | added))
    signer = log_signer()
    note = checkpoints.sign(checkpoints.Checkpoint(signer.name, new_size, root), [signer])
    Checkpoint.objects.create(size=new_size, root=root, note=note)
    QueuedEntry.objects.filter(id__in=[entry.id for entry in queued]).delete()
    return len(queued)
