"""Tampering by someone who owns the database: triggers are off, the log still tells."""

import io
import uuid

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.utils import timezone

from ledger import keys as ledger_keys
from ledger.audit import Seen, audit_log
from ledger.faults import LogFault
from ledger.keys import ensure_signing_keys
from ledger.models import Certificate, Checkpoint, Entry, QueuedEntry, SigningKey
from ledger.publish import PublishError
from ledger.revocations import certificate_revoke
from ledger.selectors import checkpoint_latest, entry_proof, trust
from ledger.services import certificate_issue, entries_queue, ledger_sequence
from ledger.timestamps import certificates_stamp
from spellmark.certificates import merkle
from spellmark.certificates.statements import Registration
from tests.ledger.witnesses import witness
from tests.programs import need
from tests.timestamp_authority import TimestampAuthority, serve

__all__ = ["witness"]

TABLES = (
    "ledger_entry", "ledger_node", "ledger_checkpoint", "ledger_certificate", "ledger_subject",
    "ledger_revocation", "ledger_timestamp",
)  # fmt: skip
# Writes a certificate's file anew, with one part exchanged.
EDIT = (
    "UPDATE ledger_certificate SET body ="
    " convert_to(regexp_replace(convert_from(body, 'UTF8'), {}), 'UTF8') WHERE title = 'model 5'"
)


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
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for table in TABLES:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER append_only")


def _run(statement: str, *values: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, values or None)


def _bodies() -> list[bytes]:
    rows = Entry.objects.order_by("index").values_list("body", flat=True)
    return [bytes(body) for body in rows]


def _rewrite(*, after: dict[int, bytes], size: int | None = None) -> None:
    """What an attacker with the database and the log's key does: all hashes made to fit again."""
    bodies = [
        bytes(body) for body in Entry.objects.order_by("index").values_list("body", flat=True)
    ]
    for index, body in after.items():
        bodies[index] = body
    bodies = bodies[:size]
    _run("DELETE FROM ledger_entry; DELETE FROM ledger_node")
    _run("DELETE FROM ledger_checkpoint; DELETE FROM ledger_queuedentry")
    QueuedEntry.objects.bulk_create(QueuedEntry(body=body) for body in bodies)
    assert ledger_sequence() == len(bodies)
    gone = "SELECT id FROM ledger_certificate WHERE leaf_hash NOT IN"
    gone += " (SELECT leaf_hash FROM ledger_entry)"
    _run(f"DELETE FROM ledger_subject WHERE certificate_id IN ({gone})")
    _run(f"DELETE FROM ledger_certificate WHERE id IN ({gone})")


def test_an_untouched_log_fits(log):
    assert audit_log().size == 7


@pytest.mark.parametrize(
    ("tampering", "told"),
    [
        (
            "UPDATE ledger_entry SET body = 'x' WHERE index = 3",
            "Entry 3 does not have the hash of its bytes: it was changed",
        ),
        (
            "UPDATE ledger_entry SET body = 'x', leaf_hash = sha256('\\x0078') WHERE index = 3",
            "Entry 3 is not the one that was logged there",
        ),
        ("DELETE FROM ledger_entry WHERE index = 2", "Entry 2 is missing: it was deleted"),
        ("DELETE FROM ledger_entry WHERE index = 6", "Entry 6 is missing"),
        (
            "UPDATE ledger_entry SET index = index + 100 WHERE index IN (1, 4);"
            "UPDATE ledger_entry SET index = 4 WHERE index = 101;"
            "UPDATE ledger_entry SET index = 1 WHERE index = 104",
            "Entry 1 is not the one that was logged there: swapped",
        ),
        (
            "UPDATE ledger_entry SET index = index + 100 WHERE index > 3;"
            "UPDATE ledger_entry SET index = index - 99 WHERE index > 3;"
            "INSERT INTO ledger_entry VALUES (4, 'x', sha256('\\x0078'), now(), now())",
            "Entry 4 is not the one that was logged there: swapped or inserted",
        ),
        (
            "INSERT INTO ledger_entry VALUES (7, 'x', sha256('\\x0078'), now(), now())",
            "Entry 7 has no leaf in the tree: it was inserted",
        ),
        (
            "UPDATE ledger_node SET hash = decode(repeat('00', 32), 'hex') WHERE level = 1",
            "Node 1/0 is not the hash of what is below it",
        ),
        ("DELETE FROM ledger_node WHERE level = 2", "Node 2/0 is missing"),
        ("DELETE FROM ledger_node WHERE level = 0 AND index = 5", "Entry 5 has no leaf"),
        (
            "INSERT INTO ledger_node VALUES (0, 7, sha256('x'))",
            "Node 0/7 belongs to no entry",
        ),
        (
            "UPDATE ledger_checkpoint SET root = decode(repeat('00', 32), 'hex') WHERE size = 5",
            "Checkpoint 5 is not what its signature covers",
        ),
        (
            "DELETE FROM ledger_checkpoint WHERE size = 7",
            "The entries from 5 on are under no checkpoint",
        ),
        (
            "DELETE FROM ledger_entry WHERE index > 4;DELETE FROM ledger_checkpoint WHERE size = 7",
            "Node 0/5 belongs to no entry: one was deleted from the end",
        ),
        (
            "UPDATE ledger_certificate SET digest = repeat('0', 64) WHERE title = 'model 5'",
            "is not the one in entry 4",
        ),
        (
            "UPDATE ledger_certificate SET body = (SELECT body FROM ledger_certificate"
            " WHERE title = 'model 4') WHERE title = 'model 5'",
            "is not the one in entry 4",
        ),
        (
            "UPDATE ledger_certificate SET body = 'x' WHERE title = 'model 5'",
            "was changed: The certificate",
        ),
        (
            # That of another certificate.
            EDIT.format(
                '\'"sig":"[^"]*"\', (SELECT substring(convert_from(body, \'UTF8\') from'
                ' \'"sig":"[^"]*"\') FROM ledger_certificate WHERE title = \'model 4\')'
            ),
            "was signed anew: The certificate's signature does not fit its content",
        ),
        (
            EDIT.format("""'"(hint|keyid)":"[^"]*"', '"\\1":"' || repeat('0', 64) || '"', 'g'"""),
            "was signed anew: The certificate was not signed by a trusted key",
        ),
        (
            EDIT.format("""'"keyid":"[^"]*"', '"keyid":"' || repeat('0', 64) || '"'"""),
            "was changed: The certificate's key hint is not the key id of its signature",
        ),
        (
            "INSERT INTO ledger_timestamp (certificate_id, response, stamped_at)"
            " SELECT id, 'x', now() FROM ledger_certificate WHERE title = 'model 5'",
            "The timestamp of certificate .* does not hold: A timestamp is not an RFC 3161",
        ),
        (
            "UPDATE ledger_entry SET integrated_at = integrated_at - interval '1 day'"
            " WHERE index = 4",
            "Entry 4 is dated back",
        ),
        (
            "UPDATE ledger_entry SET integrated_at = integrated_at - interval '1 day'"
            " WHERE index = 0",
            "Entry 0 is dated back",
        ),
        (
            "UPDATE ledger_entry SET integrated_at = integrated_at + interval '1 day'"
            " WHERE index = 4",
            "Entry 4 is younger than checkpoint 5, which covers it",
        ),
        (
            f"UPDATE ledger_subject SET digest = repeat('0', 64) WHERE digest = '{5:064x}'",
            "is kept under subjects that it has not",
        ),
        (
            "UPDATE ledger_certificate SET kind = 'succession' WHERE title = 'model 5'",
            "is a registration, but is kept as a succession",
        ),
        (
            f"DELETE FROM ledger_subject WHERE digest = '{5:064x}';"
            "DELETE FROM ledger_certificate WHERE title = 'model 5'",
            "Entry 4 is of the certificate .*, which is missing: it was deleted",
        ),
        (
            "UPDATE ledger_signingkey SET keyid = repeat('0', 64) WHERE purpose = 'certificate'",
            "in the key set was replaced",
        ),
    ],
)
def test_every_tampering_is_found_and_named(log, tampering: str, told: str):
    _run(tampering)
    with pytest.raises(LogFault, match=told):
        audit_log()


@pytest.mark.parametrize(
    ("tampering", "told"),
    [
        (
            "DELETE FROM ledger_revocation",
            "revokes another one, but its row that says so is missing: the revocation was hidden",
        ),
        (
            "UPDATE ledger_revocation SET certificate_id ="
            " (SELECT id FROM ledger_certificate WHERE title = 'model 4')",
            "What certificate .* revokes was changed",
        ),
        (
            "DELETE FROM ledger_revocation;"
            "UPDATE ledger_certificate SET kind = 'registration' WHERE kind = 'revocation'",
            "is a revocation, but is kept as a registration",
        ),
        (
            "DELETE FROM ledger_revocation;"
            "DELETE FROM ledger_subject WHERE name = 'certificate';"
            "DELETE FROM ledger_certificate WHERE kind = 'revocation'",
            "Entry 7 is of the certificate .*, which is missing",
        ),
    ],
)
def test_a_hidden_revocation_is_found(log, tampering: str, told: str):
    certificate = Certificate.objects.get(title="model 5")
    organisation = certificate.organisation_id
    certificate_revoke(organisation_id=organisation, certificate=certificate, reason="Wrong.")
    assert audit_log().size == 7  # it still waits
    ledger_sequence()
    assert audit_log().size == 8
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    _run(tampering)
    with pytest.raises(LogFault, match=told):
        audit_log()


def test_a_timestamp_that_was_exchanged_is_found(log, settings, tmp_path):
    need("openssl")
    authority = TimestampAuthority(tmp_path / "tsa")
    with serve(authority) as settings.TIMESTAMP_URL:
        settings.TIMESTAMP_AUTHORITIES = (authority.pem,)
        assert certificates_stamp() == 7
    assert not audit_log().doubts
    for tampering, told in (
        ("stamped_at = stamped_at - interval '1 day'", "is kept under another time than it gives"),
        (
            "response = other.response, stamped_at = other.stamped_at FROM ledger_timestamp other"
            " WHERE ledger_timestamp.certificate_id <> other.certificate_id",
            "does not hold: A timestamp was not made by a trusted authority for this signature",
        ),
    ):
        with pytest.raises(LogFault, match=told), transaction.atomic():
            _run(f"UPDATE ledger_timestamp SET {tampering}")
            audit_log()
    settings.TIMESTAMP_AUTHORITIES = ()
    assert "names no authority" in audit_log().doubts[0]


def test_a_certificate_kept_from_the_log_is_found(log):
    _issue(8)
    assert audit_log().size == 7
    _run("DELETE FROM ledger_queuedentry")
    with pytest.raises(LogFault, match="is not in the log and does not wait"):
        audit_log()


def test_a_row_rewritten_with_all_hashes_is_found_by_its_checkpoint(log):
    """Without the log's key the signed checkpoints stay as they are."""
    entries = [
        bytes(body) for body in Entry.objects.order_by("index").values_list("body", flat=True)
    ]
    entries[3] = b"x"
    leaves = [merkle.leaf_hash(body) for body in entries]
    _run("UPDATE ledger_entry SET body = 'x', leaf_hash = %s WHERE index = 3", leaves[3])
    for level, index, value in merkle.extend(0, leaves, merkle.reader({})):
        _run(
            "UPDATE ledger_node SET hash = %s WHERE level = %s AND index = %s", value, level, index
        )
    told = "Checkpoint 5 does not fit .* The first wrong row is one of the entries 2 to 4"
    with pytest.raises(LogFault, match=told):
        audit_log()


def test_a_forged_checkpoint_is_found(log):
    note = bytes(Checkpoint.objects.get(size=7).note)
    forged = note.replace(b"\n7\n", b"\n8\n", 1)
    _run("UPDATE ledger_checkpoint SET note = %s, size = 8 WHERE size = 7", forged)
    with pytest.raises(LogFault, match="Checkpoint 8 is forged"):
        audit_log()


def test_a_forked_log_is_found_by_the_witness(log, witness):
    ledger_sequence()
    entries_queue(bodies=[b"8"])
    ledger_sequence()
    assert audit_log().compared == [f"the witness at {witness.url}"]
    # The fork is published behind the witness's back, under the log's own key.
    with witness.away():
        _rewrite(after={3: b"x"})
    with pytest.raises(LogFault, match="The checkpoint of the witness .* forked or rewritten"):
        audit_log()
    entries_queue(bodies=[b"9"])
    assert ledger_sequence() == 1
    assert checkpoint_latest().size == 8  # the witness refuses, so nothing more comes out
    assert witness.refusals[-1][0] == 422


def test_a_log_rewritten_while_its_witness_is_silent_is_found(log, witness):
    entries_queue(bodies=[b"8"])
    ledger_sequence()
    with witness.away():
        _rewrite(after={3: b"x"})
    witness.stop()
    with pytest.raises(LogFault, match="Checkpoint 8 lacks .* and too few witnesses answer"):
        audit_log()


def test_a_checkpoint_published_behind_the_witness_is_found(log, witness):
    entries_queue(bodies=[b"8"])
    ledger_sequence()
    with witness.away():
        entries_queue(bodies=[b"9"])
        ledger_sequence()
    told = "Checkpoint 9 lacks .* but checkpoint 8 has them: the entries from 8 on"
    with pytest.raises(LogFault, match=told):
        audit_log()
    # It only went on without them: once they cosigned all of it nothing is left to say.
    entries_queue(bodies=[b"10"])
    ledger_sequence()
    assert not audit_log().doubts


def test_a_policy_that_is_younger_than_the_newest_checkpoint_is_no_tampering(log, witness):
    told = io.StringIO()
    call_command("verify_log", stdout=io.StringIO(), stderr=told)
    assert "Checkpoint 7 lacks the cosignatures that the policy asks for" in told.getvalue()
    witness.stop()
    with pytest.raises(LogFault, match="too few witnesses answer"):
        audit_log()


def test_a_truncated_log_is_found_by_the_witness(log, witness):
    entries_queue(bodies=[b"8"])
    ledger_sequence()
    with witness.away():
        _rewrite(after={}, size=5)
    with pytest.raises(LogFault, match="covers 8 entries, but there are 5: .* Entry 5 is missing"):
        audit_log()


def test_a_rolled_back_database_is_found_by_the_witness_and_publishes_no_more(log, witness, caplog):
    entries_queue(bodies=[b"8"])
    ledger_sequence()
    for table in ("entry", "checkpoint"):
        column = "index" if table == "entry" else "size - 1"
        _run(f"DELETE FROM ledger_{table} WHERE {column} >= 7")
    _run("DELETE FROM ledger_node WHERE (index + 1) << level > 7")
    with pytest.raises(LogFault, match="database rolled back"):
        audit_log()
    # The same number of other entries is a fork; fewer are a roll-back.
    entries_queue(bodies=[b"another"])
    ledger_sequence()
    assert checkpoint_latest().size == 7
    assert "422" in caplog.text
    assert witness.refusals[-1][0] == 422


def test_a_log_shorter_than_the_witness_knows_publishes_no_more(log, witness, caplog):
    entries_queue(bodies=[b"8", b"9"])
    ledger_sequence()
    with witness.away():
        _rewrite(after={}, size=5)
    entries_queue(bodies=[b"six"])
    ledger_sequence()
    assert checkpoint_latest().size == 5
    assert "rolled back" in caplog.text


def test_a_checkpoint_kept_in_a_file_finds_a_fork(log, tmp_path):
    (tmp_path / "kept").write_bytes(bytes(checkpoint_latest().note))
    (tmp_path / "kept.tlog-proof").write_bytes(entry_proof(2, checkpoint_latest()).dumps())
    for name in ("kept", "kept.tlog-proof"):
        call_command("verify_log", checkpoint=[tmp_path / name])
    _rewrite(after={3: b"x"})
    assert audit_log().size == 7  # nothing within the database tells
    for name in ("kept", "kept.tlog-proof"):
        with pytest.raises(CommandError, match="forked or rewritten.*entries 0 to 6"):
            call_command("verify_log", checkpoint=[tmp_path / name])


def test_a_replaced_log_key_is_found_by_a_trust_file_and_by_the_witness(
    log, witness, settings, tmp_path
):
    entries_queue(bodies=[b"8"])
    ledger_sequence()
    old = trust()
    old.save(tmp_path / "trust.json")
    call_command("verify_log", trust=tmp_path / "trust.json")
    # The attacker holds the machine: own log keys, everything signed anew.
    settings.KEYS = tmp_path / "keys"
    SigningKey.objects.exclude(purpose=SigningKey.Purpose.CERTIFICATE).delete()
    ensure_signing_keys()
    with witness.away():
        _rewrite(after={3: b"x"})
        assert audit_log().size == 8
        with pytest.raises(LogFault, match="of the trust file was replaced"):
            audit_log(trusted=old)
    with pytest.raises(LogFault, match="is forged, or its key was replaced"):
        audit_log()


def test_a_replaced_key_row_is_found(log):
    stranger = ledger_keys.keys.generate_ed25519().public_key()
    _run(
        "UPDATE ledger_signingkey SET public_pem = %s, keyid = %s WHERE purpose = 'log'",
        ledger_keys.keys.public_pem(stranger),
        ledger_keys.keys.keyid(stranger),
    )
    with pytest.raises(LogFault, match="replaced|does not name the keys"):
        audit_log()


def test_a_publisher_notices_that_entries_were_taken_out(log):
    _run("DELETE FROM ledger_entry WHERE index > 4")
    with pytest.raises(PublishError, match="has 5 entries but has published a checkpoint of 7"):
        ledger_sequence()


def test_a_witness_that_is_silent_is_named(log, witness):
    entries_queue(bodies=[b"8"])
    ledger_sequence()
    witness.stop()
    audit = audit_log()
    assert not audit.compared
    assert "does not answer" in audit.silent[0]


def test_what_somebody_else_saw_must_be_signed_by_us(log):
    with pytest.raises(LogFault, match="The checkpoint of a friend is forged"):
        audit_log(seen=[Seen("a friend", b"x\n1\n" + b"A" * 43 + b"=\n\n" + b"no signature\n")])
