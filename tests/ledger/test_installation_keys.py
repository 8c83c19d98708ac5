import os
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.utils import timezone

from config.keys import load_secret
from ledger.audit import audit_log
from ledger.faults import LogFault
from ledger.key_store import GENERATORS
from ledger.keys import certificate_key, ensure_signing_keys, log_signers
from ledger.models import Certificate, SigningKey
from ledger.rotation import key_rotate
from ledger.selectors import (
    certificate_bundle,
    certificate_proof,
    checkpoint_latest,
    key_set,
    trust,
)
from ledger.services import certificate_issue, entries_queue, ledger_sequence
from spellmark.certificates import checkpoints, keys, notes
from spellmark.certificates.errors import VerificationError
from spellmark.certificates.keys import SigningKeyError
from spellmark.certificates.statements import Registration
from spellmark.certificates.verify import verify_files

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def own_keys(settings, tmp_path):
    settings.KEYS = tmp_path / "keys"


def log_signer():
    """The newest Ed25519 key of the log."""
    return [signer for signer in log_signers() if signer.kind == notes.ED25519][-1]


def test_the_keys_are_made_once(settings):
    ensure_signing_keys()
    before = {path.name: path.read_bytes() for path in settings.KEYS.iterdir()}
    rows = list(SigningKey.objects.values())
    ensure_signing_keys()
    assert {path.name: path.read_bytes() for path in settings.KEYS.iterdir()} == before
    assert set(before) == {"certificate.pem", "log.pem", "log-ml-dsa-44.pem", "kek"}
    assert list(SigningKey.objects.values()) == rows
    assert sorted(row["purpose"] for row in rows) == ["certificate", "log", "log-ml-dsa-44"]


def test_only_their_owner_reads_the_keys(settings):
    ensure_signing_keys()
    assert settings.KEYS.stat().st_mode & 0o777 == 0o700
    for path in settings.KEYS.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600


def test_the_private_keys_are_not_in_the_database(settings):
    ensure_signing_keys()
    with connection.cursor() as cursor:
        cursor.execute("SELECT string_agg(k::text, ' ') FROM ledger_signingkey k")
        rows = cursor.fetchone()[0]
    assert rows.count("BEGIN PUBLIC KEY") == 3
    assert "PRIVATE" not in rows
    for path in settings.KEYS.glob("*.pem"):
        _, *lines, _ = path.read_text().splitlines()
        assert not [line for line in lines if line in rows]


def test_the_trust_file_names_the_keys_from_when_they_were_made():
    ensure_signing_keys()
    (certificate,), (log,) = trust().certificate_keys, trust().log_keys
    assert certificate.public_key == certificate_key().public_key()
    assert log.verifier == log_signer().verifier
    now = datetime.now(UTC)
    assert certificate.is_valid_at(now)
    assert not certificate.is_valid_at(now - timedelta(minutes=1))


def test_a_new_key_joins_the_old_one_in_the_trust_file(settings, tmp_path):
    ensure_signing_keys()
    settings.KEYS = tmp_path / "new keys"
    ensure_signing_keys()
    assert len(trust().certificate_keys) == 2
    assert len(trust().log_keys) == 2


def test_the_private_keys_are_encrypted_at_rest(settings):
    ensure_signing_keys()
    for path in settings.KEYS.glob("*.pem"):
        assert path.read_bytes().startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")


def test_keys_of_an_older_release_are_encrypted_and_stay_the_same(settings):
    settings.KEYS.mkdir(mode=0o700)
    old = {"certificate": keys.generate_p256(), "log": keys.generate_ed25519()}
    for name, key in old.items():
        keys.save(key, settings.KEYS / f"{name}.pem")
        os.utime(settings.KEYS / f"{name}.pem", (1_700_000_000, 1_700_000_000))
    ensure_signing_keys()
    for name, key in old.items():
        assert b"ENCRYPTED" in (settings.KEYS / f"{name}.pem").read_bytes()
        row = SigningKey.objects.get(purpose=name)
        assert row.keyid == keys.keyid(key.public_key())
        assert row.valid_from.timestamp() == 1_700_000_000
    assert log_signer().verifier.public_key == old["log"].public_key().public_bytes_raw()


def test_an_own_passphrase_takes_the_place_of_the_key_encryption_key(settings):
    settings.KEY_PASSPHRASE = "correct horse"
    ensure_signing_keys()
    assert not (settings.KEYS / "kek").exists()
    assert keys.load(settings.KEYS / "log.pem", b"correct horse")
    settings.KEY_PASSPHRASE = "wrong horse"
    with pytest.raises(SigningKeyError, match="this passphrase opens"):
        log_signers()


class Token:
    """Stands for a hardware token: it signs, and never hands out a private key."""

    keys: dict = {}

    def names(self):
        return list(self.keys)

    def create(self, name, algorithm):
        self.keys[name] = GENERATORS[algorithm]()

    def created_at(self, name):
        return datetime(2026, 1, 1, tzinfo=UTC)

    def open(self, name):
        private = self.keys[name]

        class Handle:
            def sign(self, *arguments):
                return private.sign(*arguments)

            def public_key(self):
                return private.public_key()

        return Handle()


def test_another_key_store_signs_checkpoints_and_certificates(settings):
    settings.KEY_STORE = f"{__name__}.Token"
    ensure_signing_keys()
    assert not list(settings.KEYS.glob("*.pem"))
    _issue_certificate()
    ledger_sequence()
    certificate = Certificate.objects.get()
    assert certificate_proof(certificate).index == 0
    assert verify_files(certificate_bundle(certificate), trust()).passed


def test_across_a_rotation_old_and_new_trust_files_verify(settings):
    ensure_signing_keys()
    old = trust()
    _sequence_one()
    key_rotate(purpose=SigningKey.Purpose.LOG, overlap=timedelta(days=30))
    key_rotate(purpose=SigningKey.Purpose.LOG_ML_DSA, overlap=timedelta(days=30))
    new = trust()
    assert len(new.log_keys) == 2
    (first,) = old.log_keys
    fresh_only = replace(
        new, log_keys=tuple(key for key in new.log_keys if key.verifier != first.verifier)
    )
    before = bytes(checkpoint_latest().note)
    _sequence_one()
    during = bytes(checkpoint_latest().note)
    assert len(notes.parse(during).signatures) == 4
    for note, accepted in ((before, [old, new]), (during, [old, new, fresh_only])):
        for file in accepted:
            checkpoints.open_checkpoint(note, file.logs())
    with pytest.raises(VerificationError, match="No trusted key"):
        checkpoints.open_checkpoint(before, fresh_only.logs())
    assert audit_log(trusted=old).size == 2


def test_after_the_overlap_only_the_new_key_signs(settings):
    ensure_signing_keys()
    old = trust()
    _sequence_one()
    key_rotate(purpose=SigningKey.Purpose.LOG, overlap=timedelta(0))
    _sequence_one()
    note = bytes(checkpoint_latest().note)
    with pytest.raises(VerificationError, match="No trusted key"):
        checkpoints.open_checkpoint(note, old.logs())
    assert checkpoints.open_checkpoint(note, trust().logs()).size == 2
    assert audit_log().size == 2


def test_a_checkpoint_by_a_key_after_its_time_is_a_fault(settings):
    ensure_signing_keys()
    _sequence_one()
    SigningKey.objects.exclude(purpose="certificate").update(
        valid_until=datetime(2020, 1, 1, tzinfo=UTC)
    )
    for purpose in (SigningKey.Purpose.LOG, SigningKey.Purpose.LOG_ML_DSA):
        key_rotate(purpose=purpose, overlap=timedelta(0))
    with pytest.raises(LogFault, match="no key that was valid"):
        audit_log()


@pytest.mark.parametrize("purpose", ["certificate", "log"])
def test_a_trust_file_holds_keys_to_the_times_that_it_gives(purpose):
    ensure_signing_keys()
    _sequence_one()
    key_rotate(purpose=SigningKey.Purpose(purpose), overlap=timedelta(days=1))
    ledger_sequence()
    handed_out = trust()
    old = SigningKey.objects.filter(purpose=purpose, valid_until__isnull=False)
    row = old.get()
    hour = timedelta(hours=1)
    for change, told in (
        ({"valid_from": row.valid_from - hour}, "its beginning was moved"),
        ({"valid_until": row.valid_until + hour}, "its time was prolonged"),
        ({"valid_until": None}, "never here: its time was prolonged"),
    ):
        SigningKey.objects.filter(keyid=row.keyid).update(**change)
        assert audit_log().size
        with pytest.raises(LogFault, match=told):
            audit_log(trusted=handed_out)
        row.save()
    # A key may end earlier: it was stolen, say.
    old.update(valid_until=row.valid_until - hour)
    assert audit_log(trusted=handed_out).size


def test_the_key_set_names_every_key_with_its_time(settings):
    ensure_signing_keys()
    key_rotate(purpose=SigningKey.Purpose.LOG, overlap=timedelta(days=1))
    found = key_set()["keys"]
    assert [key["purpose"] for key in found].count("log") == 2
    old, new = [key for key in found if key["purpose"] == "log"]
    assert old["validUntil"] and new["validUntil"] is None
    assert notes.Verifier.from_vkey(new["vkey"]) == log_signer().verifier
    assert "PRIVATE" not in str(found)


def _sequence_one():
    entries_queue(bodies=[b"{}"])
    assert ledger_sequence() == 1


def _issue_certificate():
    statement = Registration(
        model_digest="0" * 64,
        model_name="model",
        version=1,
        organisation="Acme",
        commitment=None,
        binding=None,
        scheme=None,
        parameters={},
        registered_at=timezone.now(),
    )
    certificate_issue(
        organisation_id=uuid.UUID(int=1), kind="registration", title="x", statement=statement
    )


def test_a_secret_file_is_made_once_and_private(tmp_path):
    folder = tmp_path / "new" / "secrets"
    first = load_secret(folder, "pepper", prefix="p-", size=16)
    assert first == load_secret(folder, "pepper", prefix="other-")
    assert len(bytes.fromhex(first.removeprefix("p-"))) == 16
    assert [path.name for path in folder.iterdir()] == ["pepper"]
    assert (folder / "pepper").stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    assert load_secret(folder, "another") != load_secret(folder, "a third")
