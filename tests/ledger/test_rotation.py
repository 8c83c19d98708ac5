from dataclasses import replace

import pytest
from django.utils import timezone

from ledger.keys import certificate_key, ensure_signing_keys
from ledger.rotation import certificate_key_rotate
from ledger.selectors import certificate_bundle, trust
from ledger.services import ledger_sequence
from spellmark.certificates import keys
from spellmark.certificates.verify import verify_files
from tests.ledger.test_certificates import STATEMENT, _issue

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def own_keys(settings, tmp_path):
    settings.KEYS = tmp_path / "keys"
    ensure_signing_keys()


def _now(version: int):
    return replace(STATEMENT, version=version, registered_at=timezone.now())


def test_certificates_before_and_after_a_rotation_are_good(acme, settings):
    old_trust, old_key = trust(), certificate_key()
    before = _issue(acme, _now(1))
    succession = certificate_key_rotate()
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
    assert statement.keyid == keys.keyid(certificate_key().public_key())
    old, new = trust().certificate_keys
    assert new.valid_until is None
    assert new.valid_from <= old.valid_until
    assert (old.public_key, new.public_key) == (
        old_key.public_key(),
        certificate_key().public_key(),
    )


def test_what_the_old_key_signs_later_is_refused(acme, settings):
    from datetime import timedelta

    from ledger.services import certificate_issue

    old_key = certificate_key()
    certificate_key_rotate()
    late = replace(_now(3), registered_at=timezone.now() + timedelta(minutes=5))
    stolen = certificate_issue(
        organisation_id=acme.id, kind="registration", title="t", statement=late, key=old_key
    )
    ledger_sequence()
    report = verify_files(certificate_bundle(stolen), trust())
    assert [check.name for check in report.checks if check.passed is False] == ["validity"]


def test_a_rotation_leaves_private_files_and_can_be_done_again(settings):
    certificate_key_rotate()
    certificate_key_rotate()
    names = sorted(path.name for path in settings.KEYS.iterdir())
    assert len([name for name in names if name.endswith(".retired.pem")]) == 2
    assert "certificate.new.pem" not in names
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in settings.KEYS.iterdir())
    assert len(trust().certificate_keys) == 3
