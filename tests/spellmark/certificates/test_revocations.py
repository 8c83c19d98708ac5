from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from spellmark.certificates import certificate, entries, revocations
from spellmark.certificates.errors import FormatError
from spellmark.certificates.revocations import Revoked
from spellmark.certificates.statements import Revocation, parse
from spellmark.certificates.timestamps import CLOCK_SKEW
from spellmark.certificates.verify import verify_files
from spellmark.cli import main as spellmark
from tests.spellmark.certificates.certificate_samples import (
    CHARLIE,
    NEXT_LOG,
    REGISTRATION,
    TRUST,
    bundle_of,
)

BUNDLE = bundle_of(REGISTRATION)
DIGEST = entries.certificate_digest(certificate.loads(BUNDLE.certificate))
REVOCATION = Revocation(
    certificate_digest=DIGEST,
    reason="The wrong version was registered.",
    replaced_by=None,
    revoked_at=datetime(2026, 5, 1, tzinfo=UTC),
)


def revoked(statement=REVOCATION, *signers, **options) -> Revoked:
    bundle = bundle_of(statement, *signers, **options)
    return Revoked(bundle.certificate, bundle.proof)


def failed(report) -> dict[str, str]:
    return {check.name: check.detail for check in report.checks if check.passed is False}


def with_list(*rows: Revoked):
    return replace(BUNDLE, revocations=revocations.dumps(list(rows)))


def test_a_revocation_is_a_certificate_of_its_own():
    report = verify_files(replace(bundle_of(REVOCATION), transcript=None, answers={}), TRUST)
    assert report.passed
    assert report.statement == REVOCATION
    assert parse(REVOCATION.dumps()) == REVOCATION


def test_a_bundle_that_holds_its_revocation_is_refused():
    report = verify_files(with_list(revoked()), TRUST)
    assert not report.passed
    assert set(failed(report)) == {"revocation"}
    assert "was revoked at 2026-05-01T00:00:00Z: The wrong version" in failed(report)["revocation"]


def test_the_issuers_newer_list_refuses_an_older_bundle():
    assert verify_files(BUNDLE, TRUST).passed
    assert verify_files(BUNDLE, TRUST, []).passed
    assert set(failed(verify_files(BUNDLE, TRUST, [revoked()]))) == {"revocation"}


def test_a_superseded_certificate_names_its_successor():
    statement = replace(REVOCATION, replaced_by="ab" * 32)
    found = failed(verify_files(with_list(revoked(statement)), TRUST))
    assert "was replaced by abababababababab…" in found["revocation"]


def test_the_revocation_of_another_certificate_does_not_matter():
    other = revoked(replace(REVOCATION, certificate_digest="cd" * 32))
    report = verify_files(BUNDLE, TRUST, [other])
    assert report.passed
    check = next(check for check in report.checks if check.name == "revocation")
    assert check.passed
    assert "None of the 1 listed" in check.detail


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (revoked(key=CHARLIE), "not signed by a trusted key"),
        (revoked(REVOCATION, NEXT_LOG), "No trusted key has signed"),
        (replace(revoked(), proof=BUNDLE.proof), "does not lead from the entry to the root"),
        (revoked(replace(REVOCATION, revoked_at=datetime(2031, 1, 1, tzinfo=UTC))), "key's time"),
        (Revoked(BUNDLE.certificate, BUNDLE.proof), "holds something that is none"),
    ],
)
def test_a_false_revocation_is_told_apart_from_a_true_one(row, told):
    found = failed(verify_files(with_list(row), TRUST))
    assert set(found) == {"revocation"}
    assert told in found["revocation"]
    assert "was revoked" not in found["revocation"]


def test_a_revocation_needs_a_log_key_that_had_not_ended():
    (key,) = TRUST.log_keys
    for early, told in ((0, "was revoked"), (1, "No trusted key has signed")):
        ended = REVOCATION.revoked_at - CLOCK_SKEW - timedelta(seconds=early)
        trust = replace(TRUST, log_keys=(replace(key, valid_until=ended),))
        assert told in failed(verify_files(with_list(revoked()), trust))["revocation"]


def test_a_list_reads_back_and_refuses_other_layouts():
    data = revocations.dumps([revoked(), revoked()])
    assert len(revocations.loads(data)) == 2
    assert revocations.dumps(revocations.loads(data)) == data
    for bad in (b"{}", data + b"\n", data.replace(b'"proof"', b'"prof"'), b"[]"):
        with pytest.raises(FormatError):
            revocations.loads(bad)
    with pytest.raises(FormatError, match="by itself"):
        replace(REVOCATION, replaced_by=DIGEST).dumps()


def test_the_command_takes_the_list(tmp_path, capsys):
    BUNDLE.save(tmp_path / "bundle.zip")
    TRUST.save(tmp_path / "trust.json")
    (tmp_path / "revocations.json").write_bytes(revocations.dumps([revoked()]))
    command = ["verify", str(tmp_path / "bundle.zip"), "--trust", str(tmp_path / "trust.json")]
    assert spellmark(command) == 0
    assert spellmark([*command, "--revocations", str(tmp_path / "revocations.json")]) == 1
    assert "FAIL  revocation" in capsys.readouterr().out
    assert spellmark([*command, "--revocations", str(tmp_path / "none.json")]) == 2
