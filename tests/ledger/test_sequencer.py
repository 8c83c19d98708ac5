import json
from itertools import combinations, pairwise

import pytest
from django.db import DatabaseError, connection, transaction

from ledger.audit import audit_log
from ledger.keys import ensure_signing_keys
from ledger.locks import PUBLISHER_LOCK, SEQUENCER_LOCK
from ledger.models import Certificate, Checkpoint, Entry, Node, QueuedEntry
from ledger.publish import PublishError
from ledger.selectors import (
    checkpoint_latest,
    checkpoint_list,
    consistency_proof,
    entry_list,
    entry_proof,
    log_verifiers,
    trust,
)
from ledger.services import EntryError, entries_queue, ledger_sequence
from spellmark.certificates import checkpoints, merkle, notes, tlog_proof
from spellmark.certificates.errors import VerificationError
from spellmark.certificates.trust import Trust
from spellmark.errors import SpellmarkError

BATCHES = (1, 1, 3, 2, 9, 16, 1)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def keys():
    ensure_signing_keys()


@pytest.fixture
def log() -> list[bytes]:
    """The bodies of a log that grew in uneven steps."""
    bodies = []
    for count in BATCHES:
        more = [b'{"entry":%d}' % (len(bodies) + number) for number in range(count)]
        QueuedEntry.objects.bulk_create(QueuedEntry(body=body) for body in more)
        assert ledger_sequence() == count
        bodies += more
    return bodies


def _plain_root(leaves: list[bytes]) -> bytes:
    """The Merkle tree hash as RFC 6962, section 2.1 writes it down."""
    if len(leaves) == 1:
        return leaves[0]
    half = 1 << (len(leaves) - 1).bit_length() - 1
    return merkle.node_hash(_plain_root(leaves[:half]), _plain_root(leaves[half:]))


def test_bytes_of_every_kind_stand_in_the_log_as_they_were_queued():
    bodies = [bytes(range(256)), b"", b"\\x00\\134'\"%s", bytes(65_535)]
    bodies += [b"%d" % number for number in range(600)]
    entries_queue(bodies=bodies)
    assert ledger_sequence(batch=300) == 300
    assert ledger_sequence() == 304
    found = list(Entry.objects.order_by("index"))
    assert [bytes(entry.body) for entry in found] == bodies
    assert [bytes(entry.leaf_hash) for entry in found] == [merkle.leaf_hash(b) for b in bodies]
    nodes = {(node.level, node.index): bytes(node.hash) for node in Node.objects.all()}
    expected = merkle.extend(0, map(merkle.leaf_hash, bodies), merkle.reader({}))
    assert nodes == {(level, index): value for level, index, value in expected}


def test_entries_stand_in_the_order_in_which_they_were_queued(log):
    entries = list(Entry.objects.order_by("index"))
    assert [entry.index for entry in entries] == list(range(sum(BATCHES)))
    assert [bytes(entry.body) for entry in entries] == log
    assert [bytes(entry.leaf_hash) for entry in entries] == [merkle.leaf_hash(b) for b in log]
    assert not QueuedEntry.objects.exists()
    assert entry_list().first().index == sum(BATCHES) - 1


def test_every_batch_leaves_a_checkpoint_that_the_trust_file_opens(log):
    handed_over = Trust.loads(trust().dumps())
    rows = list(checkpoint_list())[::-1]
    assert [row.size for row in rows] == [1, 2, 5, 7, 16, 32, 33]
    leaves = [merkle.leaf_hash(body) for body in log]
    for row in rows:
        opened = checkpoints.open_checkpoint(bytes(row.note), handed_over.logs())
        assert opened.origin == handed_over.log_keys[0].origin
        assert (opened.size, opened.root) == (row.size, bytes(row.root))
        assert opened.root == _plain_root(leaves[: row.size])


def test_every_entry_is_proved_under_every_checkpoint(log):
    logs = trust().logs()
    for checkpoint in checkpoint_list():
        for index in range(checkpoint.size):
            proof = tlog_proof.TlogProof.loads(entry_proof(index, checkpoint).dumps())
            opened = tlog_proof.verify(proof, log[index], logs)
            assert (opened.size, proof.index) == (checkpoint.size, index)


def test_a_proof_is_of_its_own_entry_only(log):
    proof = entry_proof(3, checkpoint_latest())
    with pytest.raises(VerificationError, match="does not lead"):
        tlog_proof.verify(proof, log[4], trust().logs())


def test_what_lies_behind_a_checkpoint_has_no_proof_under_it(log):
    with pytest.raises(SpellmarkError, match="does not exist"):
        entry_proof(5, Checkpoint.objects.get(size=5))


def test_every_checkpoint_begins_with_every_earlier_one(log):
    rows = list(checkpoint_list())[::-1]
    for old, new in combinations(rows, 2):
        proof = consistency_proof(old.size, new.size)
        merkle.verify_consistency(old.size, new.size, bytes(old.root), bytes(new.root), proof)
    for old, new in pairwise(rows):
        with pytest.raises(VerificationError):
            merkle.verify_consistency(
                old.size,
                new.size,
                bytes(32),
                bytes(new.root),
                consistency_proof(old.size, new.size),
            )


def test_a_proof_is_one_query(log, django_assert_num_queries):
    checkpoint = checkpoint_latest()
    with django_assert_num_queries(1):
        entry_proof(11, checkpoint)
    with django_assert_num_queries(1):
        consistency_proof(7, 33)


def test_every_complete_subtree_is_stored_once(log):
    size = sum(BATCHES)
    expected = {(level, i) for level in range(6) for i in range(size >> level)}
    assert set(Node.objects.values_list("level", "index")) == expected


def test_a_batch_is_no_longer_than_asked():
    QueuedEntry.objects.bulk_create(QueuedEntry(body=b"%d" % number) for number in range(5))
    assert [ledger_sequence(batch=2) for _ in range(4)] == [2, 2, 1, 0]
    assert [row.size for row in checkpoint_list()] == [5, 4, 2]


def test_nothing_queued_signs_nothing():
    assert ledger_sequence() == 0
    assert not Checkpoint.objects.exists()


def test_a_second_sequencer_steps_back():
    QueuedEntry.objects.create(body=b"{}")
    other = connection.get_new_connection(connection.get_connection_params())
    try:
        other.execute("SELECT pg_advisory_xact_lock(%s)", [SEQUENCER_LOCK])
        assert ledger_sequence() == 0
        assert not Entry.objects.exists()
        other.rollback()
        assert ledger_sequence() == 1
    finally:
        other.close()


def test_a_sequencer_keeps_others_out_until_it_commits():
    QueuedEntry.objects.create(body=b"{}")
    other = connection.get_new_connection(connection.get_connection_params())
    try:
        with transaction.atomic():
            ledger_sequence()
            asked = other.execute("SELECT pg_try_advisory_xact_lock(%s)", [SEQUENCER_LOCK])
            assert asked.fetchone() == (False,)
    finally:
        other.close()


def test_a_signature_that_fails_publishes_nothing_and_is_made_up_for(monkeypatch):
    QueuedEntry.objects.create(body=b"{}")

    def sign(*arguments):
        raise RuntimeError("no key")

    with monkeypatch.context() as broken, pytest.raises(RuntimeError, match="no key"):
        broken.setattr(checkpoints, "sign", sign)
        ledger_sequence()
    assert (QueuedEntry.objects.count(), Entry.objects.count()) == (0, 1)
    assert checkpoint_latest() is None
    assert not entry_list().exists()
    assert ledger_sequence() == 0
    assert checkpoint_latest().size == 1


def test_equal_entries_are_two_leaves():
    entries_queue(bodies=[b"{}", b"{}"])
    assert ledger_sequence() == 2
    assert audit_log().size == 2


def test_an_entry_that_fits_no_bundle_is_refused_before_it_can_block_the_log():
    entries_queue(bodies=[b"x" * 65_535])
    with pytest.raises(EntryError, match="longer than"):
        entries_queue(bodies=[b"x" * 65_536])
    with pytest.raises(DatabaseError, match="queued_entry_fits"), transaction.atomic():
        QueuedEntry.objects.create(body=b"x" * 65_536)
    assert ledger_sequence() == 1


def test_entries_of_a_transaction_that_failed_are_not_queued():
    with pytest.raises(RuntimeError), transaction.atomic():
        entries_queue(bodies=[b"{}"])
        raise RuntimeError
    assert ledger_sequence() == 0


def test_a_second_publisher_steps_back():
    QueuedEntry.objects.create(body=b"{}")
    other = connection.get_new_connection(connection.get_connection_params())
    try:
        other.execute("SELECT pg_advisory_xact_lock(%s)", [PUBLISHER_LOCK])
        assert ledger_sequence() == 1
        assert checkpoint_latest() is None
    finally:
        other.close()


def test_a_tree_that_was_rewritten_is_never_signed(log):
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE ledger_node DISABLE TRIGGER append_only")
        cursor.execute("UPDATE ledger_node SET hash = sha256('x') WHERE level = 5")
    QueuedEntry.objects.create(body=b"{}")
    with pytest.raises(PublishError, match="no longer begins with its checkpoint of 33"):
        ledger_sequence()
    assert checkpoint_latest().size == 33


def test_a_checkpoint_is_signed_by_both_kinds_of_keys(log):
    note = notes.parse(bytes(checkpoint_latest().note))
    found = notes.verify(note, [verifier for _, verifier in log_verifiers()])
    assert [verifier.kind for verifier in found] == [notes.ED25519, notes.ML_DSA_44]
    # Whoever knows the one kind only ignores the other.
    assert notes.verify(note, [found[0]]) == [found[0]]


@pytest.mark.parametrize("model", [Entry, Node, Checkpoint, Certificate])
@pytest.mark.parametrize(
    "change", ["UPDATE {0} SET {1} = {1}", "DELETE FROM {0}", "TRUNCATE {0} CASCADE"]
)
def test_the_database_refuses_to_change_what_stands_in_the_log(log, model, change):
    table = model._meta.db_table
    column = {Node: "level"}.get(model) or model._meta.pk.column
    before = list(model.objects.values())
    with (
        pytest.raises(DatabaseError, match=f"{table} is append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(change.format(table, column))
    assert list(model.objects.values()) == before


def test_an_entry_is_json_that_names_its_kind(alice_actor):
    from tests.factories import published_version

    published_version(alice_actor)
    ledger_sequence()
    body = json.loads(bytes(Entry.objects.get(index=0).body))
    assert body == {"kind": "certificate/v1", "sha256": Certificate.objects.get().digest}
