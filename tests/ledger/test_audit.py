"""Tampering by someone who owns the database: triggers are off, the log still tells."""

import uuid

import pytest
from django.db import connection
from django.utils import timezone

from ledger.audit import LogFault, audit_log
from ledger.keys import ensure_signing_keys
from ledger.models import Checkpoint
from ledger.services import certificate_issue, ledger_sequence
from spellmark.certificates.statements import Registration

TABLES = ("ledger_entry", "ledger_node", "ledger_checkpoint", "ledger_certificate")


def _issue(number: int) -> None:
    certificate_issue(
        organisation_id=uuid.UUID(int=1),
        kind="registration",
        title=f"model {number}",
        statement=Registration(
            model_digest=f"{number:064x}",
            model_name="model",
            version=number,
            organisation="Acme",
            commitment=None,
            binding=None,
            scheme=None,
            parameters={},
            registered_at=timezone.now(),
        ),
    )


@pytest.fixture
def log(db) -> None:
    """Seven entries under three checkpoints, and no triggers to stop the tampering."""
    ensure_signing_keys()
    for batch in ((1, 2), (3, 4, 5), (6, 7)):
        for number in batch:
            _issue(number)
        ledger_sequence()
    with connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER append_only")


def test_an_untouched_log_fits(log):
    assert audit_log() == 7


@pytest.mark.parametrize(
    ("tampering", "told"),
    [
        ("UPDATE ledger_entry SET body = 'x' WHERE index = 3", "Entry 3 does not have the hash"),
        ("DELETE FROM ledger_entry WHERE index = 2", "Entry 2 is missing"),
        ("DELETE FROM ledger_entry WHERE index = 6", "nodes are missing|is not the hash"),
        (
            "UPDATE ledger_entry SET index = index + 100 WHERE index IN (1, 4);"
            "UPDATE ledger_entry SET index = 4 WHERE index = 101;"
            "UPDATE ledger_entry SET index = 1 WHERE index = 104",
            "Node 0/1 is not the hash",
        ),
        (
            "UPDATE ledger_node SET hash = decode(repeat('00', 32), 'hex') WHERE level = 1",
            "Node 1/",
        ),
        ("DELETE FROM ledger_node WHERE level = 2", "1 nodes are missing"),
        (
            "UPDATE ledger_checkpoint SET root = decode(repeat('00', 32), 'hex') WHERE size = 5",
            "Checkpoint 5 is not what its signature covers",
        ),
        ("DELETE FROM ledger_checkpoint WHERE size = 7", "under no checkpoint"),
        (
            "DELETE FROM ledger_entry WHERE index > 4;DELETE FROM ledger_checkpoint WHERE size = 7",
            "is not the hash|nodes are missing",
        ),
        (
            "UPDATE ledger_certificate SET digest = repeat('0', 64) WHERE title = 'model 5'",
            "is not the one in entry 4",
        ),
    ],
)
def test_every_tampering_is_found_and_named(log, tampering: str, told: str):
    with connection.cursor() as cursor:
        cursor.execute(tampering)
    with pytest.raises(LogFault, match=told):
        audit_log()


def test_a_forged_checkpoint_is_found(log):
    note = bytes(Checkpoint.objects.get(size=7).note)
    forged = note.replace(b"\n7\n", b"\n8\n", 1)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE ledger_checkpoint SET note = %s, size = 8 WHERE size = 7", [forged])
    with pytest.raises(Exception, match="signature"):
        audit_log()
