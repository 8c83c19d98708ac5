"""What adds to the log: certificates in their business transaction, the sequencer afterwards."""

import uuid
from collections.abc import Iterable, Sequence

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.utils import timezone

from config.celery import app
from ledger.keys import certificate_key
from ledger.locks import SEQUENCER_LOCK, locked
from ledger.models import Certificate, Subject
from ledger.publish import ledger_publish
from ledger.selectors import log_size, nodes_get
from spellmark.certificates import certificate as certificate_file
from spellmark.certificates import merkle
from spellmark.certificates.entries import certificate_digest, certificate_entry
from spellmark.certificates.statements import Statement, subjects_of
from spellmark.certificates.tiles import MAX_ENTRY_BYTES
from spellmark.errors import SpellmarkError

# Entries in one transaction of the sequencer. Their bodies never leave the database, so that even
# the longest ones need little memory here.
BATCH = 10_000
_MOVE = """
WITH moved AS (
    DELETE FROM ledger_queuedentry
    WHERE id IN (SELECT id FROM ledger_queuedentry ORDER BY id LIMIT %(batch)s)
    RETURNING id, body, queued_at
), added AS (
    INSERT INTO ledger_entry (index, body, leaf_hash, queued_at, integrated_at)
    SELECT %(size)s + row_number() OVER (ORDER BY id) - 1,
        body, sha256('\\x00'::bytea || body), queued_at, %(now)s
    FROM moved
    RETURNING index, leaf_hash
)
SELECT coalesce(string_agg(leaf_hash, ''::bytea ORDER BY index), ''::bytea) FROM added
"""
_ADD_NODES = """
INSERT INTO ledger_node (level, index, hash)
SELECT level, first + place, substring(hashes FROM (place * 32 + 1)::int FOR 32)
FROM unnest(%s::smallint[], %s::bigint[], %s::bytea[]) AS run (level, first, hashes)
CROSS JOIN LATERAL generate_series(0, octet_length(hashes) / 32 - 1) AS place
"""


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
    with connection.cursor() as cursor:
        # In one go: with many entries, making objects of them would take most of the time.
        cursor.execute(
            "INSERT INTO ledger_queuedentry (body, queued_at)"
            " SELECT body, %s FROM unnest(%s::bytea[]) AS body",
            [timezone.now(), list(bodies)],
        )
    transaction.on_commit(_wake_sequencer, robust=True)


def _wake_sequencer() -> None:
    app.send_task("tasks.ledger_sequence", queue="ledger", retry=False, expires=10)


def ledger_sequence(*, batch: int = BATCH) -> int:
    """Give queued entries their indexes, then publish a checkpoint; how many there were.

    Raises PublishError when the log must not go on, and logs it when witnesses are missing.
    """
    count = ledger_integrate(batch=batch)
    ledger_publish()
    return count


@transaction.atomic
def ledger_integrate(*, batch: int = BATCH) -> int:
    """Move queued entries into the tree, in the order of the queue; how many there were.

    All in one transaction and under one lock: indexes have no gap and none is given twice.
    """
    if not locked(SEQUENCER_LOCK):
        return 0
    size = log_size()
    with connection.cursor() as cursor:
        cursor.execute(_MOVE, {"batch": batch, "size": size, "now": timezone.now()})
        joined = bytes(cursor.fetchone()[0])
        leaves = [joined[start : start + 32] for start in range(0, len(joined), 32)]
        if leaves:
            known = nodes_get(merkle.root_nodes(size))
            _add_nodes(cursor, merkle.extend(size, leaves, merkle.reader(known)))
    return len(leaves)


def _add_nodes(cursor: CursorWrapper, added: Iterable[tuple[int, int, bytes]]) -> None:
    """Store new nodes: of each level the first index and all hashes in a row."""
    firsts: dict[int, int] = {}
    hashes: dict[int, list[bytes]] = {}
    for level, index, value in added:
        firsts.setdefault(level, index)
        hashes.setdefault(level, []).append(value)
    runs = [b"".join(hashes[level]) for level in firsts]
    cursor.execute(_ADD_NODES, [list(firsts), list(firsts.values()), runs])
