import io
from dataclasses import replace
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from ledger.audit import audit_log
from ledger.faults import LogFault
from ledger.keys import certificate_key, ensure_signing_keys
from ledger.models import Certificate, SigningKey
from ledger.rotation import LEAST_OVERLAP, key_rotate
from ledger.selectors import certificate_bundle, succession_of, trust
from ledger.services import certificate_issue, ledger_sequence
from spellmark.certificates import keys
from spellmark.certificates.bundle import Bundle
from spellmark.certificates.keys import SigningKeyError
from spellmark.certificates.verify import verify_files
from tests.ledger.test_certificates import STATEMENT, _issue

pytestmark = pytest.mark.django_db

CERTIFICATE = SigningKey.Purpose.CERTIFICATE


@pytest.fixture(autouse=True)
def own_keys(settings, tmp_path):
    settings.KEYS = tmp_path / "keys"
    ensure_signing_keys()


def _rotate(overlap=timedelta(0)):
    row = key_rotate(purpose=CERTIFICATE, overlap=overlap)
    return succession_of(row.keyid)


def _now(version: int):
    return replace(STATEMENT, version=version, registered_at=timezone.now())


def _current() -> str:
    return keys.keyid(certificate_key().public_key())


def test_certificates_before_and_after_a_rotation_are_good(acme):
    old_trust, old_key = trust(), certificate_key()
    before = _issue(acme, _now(1))
    succession = _rotate()
    assert certificate_key().public_key() != old_key.public_key()
    after = _issue(acme, _now(2))
    ledger_sequence()
    for certificate in (before, succession, after):
        report = verify_files(certificate_bundle(certificate), trust())
        assert report.passed, report.checks
    # Whoever holds the old trust file still believes the old key's word on the new one.
    assert verify_files(certificate_bundle(succession), old_trust).passed
    assert not verify_files(certificate_bundle(after), old_trust).passed
    statement = verify_files(certificate_bundle(succession), old_trust).statement
    assert statement.keyid == _current()
    old, new = trust().certificate_keys
    assert new.valid_until is None
    assert old.valid_until == new.valid_from + LEAST_OVERLAP
    assert (old.public_key, new.public_key) == (
        old_key.public_key(),
        certificate_key().public_key(),
    )


def test_what_the_old_key_signs_later_is_refused(acme):
    old_key = certificate_key()
    _rotate()
    late = replace(_now(3), registered_at=timezone.now() + timedelta(minutes=5))
    stolen = certificate_issue(
        organisation_id=acme.id, kind="registration", title="t", statement=late, key=old_key
    )
    ledger_sequence()
    report = verify_files(certificate_bundle(stolen), trust())
    assert [check.name for check in report.checks if check.passed is False] == ["validity"]
    with pytest.raises(LogFault, match="by a key that was not valid when it says it was made"):
        audit_log()


def test_what_was_under_way_during_a_rotation_is_signed_by_the_key_of_its_time(acme):
    under_way, first = _now(1), _current()
    _rotate(timedelta(days=1))
    assert keys.keyid(certificate_key(stated_at=under_way.stated_at).public_key()) == first
    certificate = _issue(acme, under_way)
    ledger_sequence()
    assert verify_files(certificate_bundle(certificate), trust()).passed
    assert _current() != first


def test_after_its_time_an_old_key_signs_nothing_more():
    first, long_ago = _current(), timezone.now()
    _rotate()
    SigningKey.objects.filter(keyid=first).update(valid_until=timezone.now())
    assert keys.keyid(certificate_key(stated_at=long_ago).public_key()) == _current() != first


def test_a_rotation_leaves_private_files_and_can_be_done_again(settings):
    _rotate()
    _rotate()
    assert {path.name for path in settings.KEYS.glob("certificate*")} == {
        "certificate.pem",
        "certificate-2.pem",
        "certificate-3.pem",
    }
    for path in settings.KEYS.glob("*.pem"):
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.read_bytes().startswith(b"-----BEGIN ENCRYPTED")
    first, second, third = trust().certificate_keys
    assert (third.keyid, third.valid_until) == (_current(), None)
    assert first.valid_until
    assert second.valid_until


def test_old_key_files_may_be_destroyed_and_setup_makes_no_other_key(settings):
    _rotate()
    key_rotate(purpose=SigningKey.Purpose.LOG, overlap=timedelta(0))
    current, rows = _current(), list(SigningKey.objects.values())
    for name in ("certificate", "log"):
        (settings.KEYS / f"{name}.pem").unlink()
    ensure_signing_keys()
    assert _current() == current
    assert list(SigningKey.objects.values()) == rows
    assert not (settings.KEYS / "log.pem").exists()


def test_setup_makes_a_key_where_the_only_one_in_force_was_lost(settings):
    _rotate()
    before = trust().by_keyid()
    (settings.KEYS / "certificate-2.pem").unlink()
    ensure_signing_keys()
    (added,) = trust().by_keyid().keys() - before
    first = next(iter(before))
    assert {path.name for path in settings.KEYS.glob("certificate*")} == {
        "certificate.pem",
        "certificate-2.pem",
    }
    assert _current() == added != first


def test_without_a_key_that_can_vouch_for_it_none_is_made(settings):
    SigningKey.objects.filter(purpose=CERTIFICATE).update(valid_until=timezone.now())
    before = list(settings.KEYS.iterdir())
    with pytest.raises(SigningKeyError, match="No valid key to sign certificates"):
        _rotate()
    assert list(settings.KEYS.iterdir()) == before


def test_a_log_key_needs_no_succession():
    key_rotate(purpose=SigningKey.Purpose.LOG, overlap=timedelta(days=1))
    assert not Certificate.objects.exists()


def test_anybody_with_the_old_trust_file_checks_the_succession(client):
    old_trust, first = trust(), _current()
    out = io.StringIO()
    call_command("key_rotate", "certificate", "--overlap-days", "0", stdout=out)
    assert _current()[:16] in out.getvalue()
    address = f"/log/successions/{_current()}"
    assert client.get(address).status_code == 404  # it waits for its place in the log
    ledger_sequence()
    answer = client.get(address)
    assert answer["Content-Type"] == "application/zip"
    report = verify_files(Bundle.loads(answer.content), old_trust)
    assert report.passed, report.checks
    assert report.statement.keyid == _current()
    assert client.get(f"/log/successions/{first}").status_code == 404


def test_the_succession_is_not_public_where_the_log_is_not(client, settings):
    _rotate()
    ledger_sequence()
    settings.LOG_PUBLIC = False
    assert client.get(f"/log/successions/{_current()}").status_code == 404


def test_a_negative_overlap_is_refused():
    with pytest.raises(CommandError, match="negative"):
        call_command("key_rotate", "certificate", "--overlap-days", "-1")
    assert SigningKey.objects.filter(purpose=CERTIFICATE).count() == 1
