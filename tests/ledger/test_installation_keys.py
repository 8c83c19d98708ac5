from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from config.keys import load_secret
from ledger.keys import certificate_key, ensure_signing_keys, log_signer
from ledger.models import SigningKey
from ledger.selectors import trust

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def own_keys(settings, tmp_path):
    settings.KEYS = tmp_path / "keys"


def test_the_keys_are_made_once(settings):
    ensure_signing_keys()
    before = {path.name: path.read_bytes() for path in settings.KEYS.iterdir()}
    rows = list(SigningKey.objects.values())
    ensure_signing_keys()
    assert {path.name: path.read_bytes() for path in settings.KEYS.iterdir()} == before
    assert set(before) == {"certificate.pem", "log.pem"}
    assert list(SigningKey.objects.values()) == rows
    assert sorted(row["purpose"] for row in rows) == ["certificate", "log"]


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
    assert rows.count("BEGIN PUBLIC KEY") == 2
    assert "PRIVATE" not in rows
    for path in settings.KEYS.iterdir():
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


def test_a_secret_file_is_made_once_and_private(tmp_path):
    folder = tmp_path / "new" / "secrets"
    first = load_secret(folder, "pepper", prefix="p-", size=16)
    assert first == load_secret(folder, "pepper", prefix="other-")
    assert len(bytes.fromhex(first.removeprefix("p-"))) == 16
    assert [path.name for path in folder.iterdir()] == ["pepper"]
    assert (folder / "pepper").stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    assert load_secret(folder, "another") != load_secret(folder, "a third")
