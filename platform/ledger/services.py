"""What adds to the log: certificates in their business transaction, the sequencer afterwards."""

import uuid
from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from django.db import connection, transaction
from django.utils import timezone

from config.celery import app
from ledger.keys import certificate_key
from ledger.locks import SEQUENCER_LOCK, locked
from ledger.models import Certificate, QueuedEntry, Subject
from ledger.publish import ledger_publish
from ledger.selectors import log_size, nodes_get
from spellmark.certificates import certificate as certificate_file
from spellmark.certificates import merkle
from spellmark.certificates.entries import certificate_digest, certificate_entry
from spellmark.certificates.statements import Statement, subjects_of
from spellmark.certificates.tiles import MAX_ENTRY_BYTES
from spellmark.errors import SpellmarkError


class EntryError(SpellmarkError):
    """Something that the log does not take."""


@transaction.atomic
def certificate_issue(
    *,
    organisation_id: uuid.UUID,
    kind: str,
    title: str,
    statement: Statement,
    key: EllipticCurvePrivateKey | None = None,
) -> Certificate:
    """Sign a statement and queue its log entry, together with the caller's own writes.

    `key` is for a succession, which the old key signs.
    """
    body = certificate_file.issue(statement, key or certificate_key(stated_at=statement.stated_at))
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
    entries_queue(bodies=[entry])
    return certificate


@transaction.atomic
def entries_queue(*, bodies: Sequence[bytes]) -> None:
    """Queue log entries, together with the caller's own writes. Raises EntryError.

    They are in the log once the caller's transaction commits and the sequencer came by.
    """
    for body in bodies:
        if len(body) > MAX_ENTRY_BYTES:
            raise EntryError(
                f"A log entry of {len(body):,} bytes is longer than {MAX_ENTRY_BYTES:,}.",
                hint="Log a digest of it.",
            )
    QueuedEntry.objects.bulk_create(QueuedEntry(body=body) for body in bodies)
    transaction.on_commit(_wake_sequencer, robust=True)


def _wake_sequencer() -> None:
    app.send_task("tasks.ledger_sequence", queue="ledger", retry=False, expires=10)


def ledger_sequence(*, batch: int = 2000) -> int:
    """Give queued entries their indexes, then publish a checkpoint; how many there were.

    Raises PublishError when the log must not go on, and logs it when witnesses are missing.
    """
    count = ledger_integrate(batch=batch)
    ledger_publish()
    return count


@transaction.atomic
def ledger_integrate(*, batch: int = 2000) -> int:
    """Move queued entries into the tree, in the order of the queue; how many there were.

    All in one transaction and under one lock: indexes have no gap and none is given twice.
    """
    if not locked(SEQUENCER_LOCK):
        return 0
    queued = list(QueuedEntry.objects.order_by("id").values_list("id", "body", "queued_at")[:batch])
    if not queued:
        return 0
    size = log_size()
    leaves = [merkle.leaf_hash(bytes(body)) for _, body, _ in queued]
    known = nodes_get(merkle.root_nodes(size))
    added = merkle.extend(size, leaves, merkle.reader(known))
    now = timezone.now()
    with connection.cursor() as cursor:
        with cursor.copy(
            "COPY ledger_entry (index, body, leaf_hash, queued_at, integrated_at) FROM STDIN"
        ) as copy:
            rows = zip(queued, leaves, strict=True)
            for index, ((_, body, queued_at), leaf) in enumerate(rows, size):
                copy.write_row((index, bytes(body), leaf, queued_at, now))
        with cursor.copy("COPY ledger_node (level, index, hash) FROM STDIN") as copy:
            for node in added:
                copy.write_row(node)
        cursor.execute(
            "DELETE FROM ledger_queuedentry WHERE id = ANY(%s)", [[row[0] for row in queued]]
        )
    return len(queued)
