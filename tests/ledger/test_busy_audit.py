"""An audit beside sequencers and publishers at work: no false alarm, and nobody waits for it."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from django.db import connection, transaction

from config.celery import app
from ledger import audit
from ledger.audit import audit_log
from ledger.faults import LogFault
from ledger.keys import ensure_signing_keys
from ledger.locks import SEQUENCER_LOCK, locked
from ledger.models import QueuedEntry
from ledger.publish import ledger_publish
from ledger.services import entries_queue, ledger_integrate, ledger_sequence

AUDITS = 20


@pytest.fixture(autouse=True)
def keys(committed, monkeypatch) -> None:
    monkeypatch.setattr(app, "send_task", lambda *args, **options: None)
    ensure_signing_keys()


@contextmanager
def _meanwhile(work: Callable[[], None]) -> Iterator[None]:
    """Again and again, in a thread with its own connection. What it raises fails the test."""
    stop, trouble = threading.Event(), []

    def run() -> None:
        try:
            while not stop.is_set():
                work()
        except Exception as error:
            trouble.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    assert trouble == []


def _sequence() -> None:
    """As `ledger_sequence`, but long between the two steps: witnesses are slow."""
    ledger_integrate(batch=3)
    time.sleep(0.01)
    ledger_publish()


def _write() -> None:
    entries_queue(bodies=[b"{}", b"{}"])
    time.sleep(0.005)


def _is_locked() -> bool:
    with transaction.atomic():
        return not locked(SEQUENCER_LOCK)


def _tamper(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")  # no triggers
        cursor.execute(statement)


@pytest.mark.slow
def test_a_busy_log_raises_no_alarm_and_tampering_in_it_is_found():
    entries_queue(bodies=[b"first"])
    ledger_sequence()
    with (
        _meanwhile(_write),
        _meanwhile(_sequence),
        _meanwhile(_sequence),
    ):
        sizes = [audit_log().size for _ in range(AUDITS)]
        assert sizes == sorted(sizes)
        assert sizes[-1] > sizes[0]
        _tamper("UPDATE ledger_entry SET body = 'x' WHERE index = 0")
        with pytest.raises(LogFault, match="Entry 0 does not have the hash of its bytes"):
            audit_log()


def test_it_waits_for_the_checkpoint_and_nobody_waits_for_it():
    entries_queue(bodies=[b"1"])
    ledger_integrate()
    done = []
    audits = threading.Thread(target=lambda: (done.append(audit_log()), connection.close()))
    audits.start()
    while audits.is_alive() and not _is_locked():
        time.sleep(0.01)
    entries_queue(bodies=[b"2"])
    assert ledger_integrate() == 0
    assert QueuedEntry.objects.count() == 1
    assert done == []
    ledger_publish()
    audits.join()
    assert [one.size for one in done] == [1]
    assert ledger_sequence() == 1
    assert audit_log().size == 2


def test_entries_that_nobody_publishes_are_told(monkeypatch):
    monkeypatch.setattr(audit, "PATIENCE_SECONDS", 0.2)
    entries_queue(bodies=[b"1", b"2"])
    ledger_sequence()
    _tamper("DELETE FROM ledger_checkpoint")
    with pytest.raises(LogFault, match="from 0 on are under no checkpoint: either the sequencer"):
        audit_log()
    # The sequencer's lock is free again.
    entries_queue(bodies=[b"3"])
    assert ledger_sequence() == 1
    assert audit_log().size == 3
