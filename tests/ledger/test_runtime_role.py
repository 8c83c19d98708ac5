"""What the web process and the workers may do in the database, whatever happens in their code."""

import uuid

import pytest
from django.db import DatabaseError, connection, transaction

from config.database import APPEND_ONLY, grant_runtime_role
from ledger.models import Entry, QueuedEntry
from ledger.services import ledger_sequence
from registry.models import Version
from tests.factories import (
    finished_guard,
    finished_mark_run,
    guard_client,
    published_version,
)


def _run(statement: str) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.fixture
def as_runtime_role(alice_actor):
    """A log with one entry, and from here on only the rights of the runtime role."""
    published_version(alice_actor)
    ledger_sequence()
    role = f"spellmark_{uuid.uuid4().hex}"
    grant_runtime_role(role)
    grant_runtime_role(role)  # as at the next upgrade
    _run(f"SET ROLE {role}")
    yield
    _run("RESET ROLE")


def test_the_append_only_tables_are_those_with_the_triggers(db):
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname = 'append_only'"
        )
        assert sorted(table for (table,) in cursor.fetchall()) == sorted(APPEND_ONLY)


@pytest.mark.parametrize("table", APPEND_ONLY)
@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM {}",
        "TRUNCATE {}",
        "DROP TABLE {} CASCADE",
        "ALTER TABLE {} DISABLE TRIGGER ALL",
        "DROP TRIGGER append_only ON {}",
    ],
)
def test_it_may_not_touch_what_stands_in_the_log(as_runtime_role, table, change):
    with pytest.raises(DatabaseError, match=r"permission denied|must be owner"):
        _run(change.format(table))


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE ledger_entry SET body = ''",
        "UPDATE ledger_node SET hash = ''",
        "UPDATE ledger_checkpoint SET root = ''",
        "UPDATE ledger_certificate SET title = ''",
        "UPDATE registry_commitment SET binding = ''",
        "DELETE FROM registry_commitment",
        "UPDATE ledger_signingkey SET public_pem = ''",
        "INSERT INTO ledger_signingkey SELECT * FROM ledger_signingkey",
        "INSERT INTO ledger_entry SELECT * FROM ledger_entry "
        "ON CONFLICT (index) DO UPDATE SET body = ''",
    ],
)
def test_it_may_not_rewrite_the_log(as_runtime_role, change):
    with pytest.raises(DatabaseError, match="permission denied"):
        _run(change)


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE registry_version DISABLE TRIGGER published_stays",
        "SET session_replication_role = replica",
        "CREATE OR REPLACE FUNCTION ledger_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ "
        "BEGIN RETURN NULL; END $$",
        "CREATE TABLE mine (id int)",
        "TRUNCATE registry_version CASCADE",
    ],
)
def test_it_may_not_take_the_guards_away(as_runtime_role, change):
    with pytest.raises(DatabaseError, match=r"permission denied|must be owner"):
        _run(change)


def test_a_published_version_stays_for_it_too(as_runtime_role):
    with pytest.raises(DatabaseError, match="never changes"), transaction.atomic():
        Version.objects.update(notes="rewritten")


def test_it_does_its_daily_work(as_runtime_role, alice_actor):
    published_version(alice_actor, name="wren")
    assert QueuedEntry.objects.count() == 1
    assert ledger_sequence() == 1
    assert Entry.objects.count() == 2


def test_a_guard_is_set_up_with_these_rights(as_runtime_role, alice_actor):
    version = Version.objects.get()
    guard = finished_guard(alice_actor, version=version)
    assert guard_client(alice_actor, guard).binding
    ledger_sequence()
    assert finished_mark_run(alice_actor, guard=guard).verdict == "match"
