import pytest
from django.test import Client

from ledger.integrity import digest_facts
from ledger.models import Certificate, Subject, Timestamp
from ledger.publish import ledger_publish
from ledger.results import ResultError, certificate_result
from ledger.revocations import RevocationError, certificate_revoke
from ledger.selectors import (
    NotYetLoggedError,
    certificate_bundle,
    certificate_entry_of,
    certificate_file,
    revocation_list,
    trust,
)
from ledger.services import certificate_issue, ledger_integrate, ledger_sequence
from ledger.timestamps import TimestampError, certificate_stamp, certificates_stamp
from spellmark.certificates import certificate as certificate_files
from spellmark.certificates import revocations, statements, svr
from spellmark.certificates.verify import verify_files
from tests.factories import published_version
from tests.ledger.test_certificates import STATEMENT, _issue, _statement
from tests.programs import need
from tests.timestamp_authority import TimestampAuthority, serve


def failed(bundle, revoked=None) -> list[str]:
    report = verify_files(bundle, trust(), revoked)
    return [check.name for check in report.checks if check.passed is False]


def test_a_revoked_certificate_is_refused_and_nothing_was_edited(acme):
    certificate = _issue(acme)
    ledger_sequence()
    before, body = certificate_bundle(certificate), bytes(certificate.body)
    assert failed(before) == []
    by = certificate_revoke(
        organisation_id=acme.id, certificate=certificate, reason="Wrong version."
    )
    with pytest.raises(NotYetLoggedError):
        certificate_bundle(certificate)
    assert revocations.loads(revocation_list()) == []
    ledger_sequence()
    assert bytes(Certificate.objects.get(id=certificate.id).body) == body
    assert failed(certificate_bundle(certificate)) == ["revocation"]
    assert failed(before, revocations.loads(revocation_list())) == ["revocation"]
    assert failed(certificate_bundle(by)) == []
    with pytest.raises(ResultError, match="is revoked"):
        certificate_result(certificate)


def test_a_successor_is_named(acme):
    first, second = _issue(acme), _issue(acme, _statement(1))
    by = certificate_revoke(
        organisation_id=acme.id, certificate=first, reason="A slip.", replaced_by=second
    )
    statement = statements.parse(certificate_files.loads(bytes(by.body)).payload)
    assert (statement.certificate_digest, statement.replaced_by) == (first.digest, second.digest)
    assert by.title.startswith("Replaced: ")


def test_what_cannot_be_revoked(acme, globex):
    first, second = _issue(acme), _issue(acme, _statement(1))
    foreign = _issue(globex, _statement(2))

    def revoke(certificate, **options):
        options = {"organisation_id": acme.id, "reason": "r", **options}
        return certificate_revoke(certificate=certificate, **options)

    for options, told in (
        ({"organisation_id": globex.id}, "belongs to"),
        ({"reason": " "}, "needs its reason"),
        ({"reason": "a\nb"}, "needs its reason"),
        ({"replaced_by": foreign}, "same organisation"),
    ):
        with pytest.raises(RevocationError, match=told):
            revoke(first, **options)
    with pytest.raises(RevocationError, match="by a later one"):
        revoke(second, replaced_by=first)
    by = revoke(first)
    with pytest.raises(RevocationError, match="already"):
        revoke(first, reason="again")
    with pytest.raises(RevocationError, match="holds for good"):
        revoke(by)


def test_everything_public_about_a_digest_and_nothing_more(acme, alice_actor):
    version = published_version(alice_actor)
    waiting = digest_facts([version.root_digest])
    assert waiting == []
    ledger_sequence()
    certificate = Certificate.objects.get(id=version.certificate_id)
    file = version.files.first()
    found = {}
    for name, digest in (
        ("model", version.root_digest),
        ("file", file.sha256),
        ("certificate", certificate.digest),
    ):
        response = Client().get(f"/api/v1/integrity/{digest}")
        assert response.status_code == 200
        assert b"Acme" not in response.content
        assert version.model.name.encode() not in response.content
        found[name] = response.json()["facts"]
    index = certificate_entry_of(certificate).index
    for facts in found.values():
        assert {(fact["kind"], fact["log_index"]) for fact in facts} == {("registration", index)}
    assert [fact["role"] for fact in found["certificate"]] == ["certificate"]
    by = certificate_revoke(organisation_id=acme.id, certificate=certificate, reason="r")
    ledger_sequence()
    (own, revoked) = digest_facts([certificate.digest])
    assert own["revoked_by_log_index"] == certificate_entry_of(by).index
    assert (revoked["role"], revoked["kind"]) == ("certificate", "revocation")
    assert Client().get(f"/api/v1/integrity/{'0' * 64}").json()["facts"] == []
    assert Client().get("/api/v1/integrity/hello").status_code == 404


@pytest.mark.parametrize("count", [1, 5])
def test_what_is_public_takes_as_many_queries_for_many_as_for_one(
    acme, count, django_assert_num_queries
):
    for number in range(count):
        certificate = _issue(acme, _statement(number))
        certificate_revoke(organisation_id=acme.id, certificate=certificate, reason="r")
    ledger_sequence()
    with django_assert_num_queries(6):
        facts = digest_facts([STATEMENT.model_digest])
    assert len(facts) == count
    assert all(fact["revoked_by_log_index"] for fact in facts)
    with django_assert_num_queries(7):
        assert Client().get(f"/api/v1/integrity/{STATEMENT.model_digest}").json()["facts"]
    with django_assert_num_queries(4):
        listed = revocations.loads(revocation_list())
    assert len(listed) == count
    with django_assert_num_queries(8):
        bundle = certificate_bundle(certificate)
    assert failed(bundle) == ["revocation"]


def test_the_lists_for_verifiers_need_no_account(acme):
    _issue(acme)
    assert Client().get("/api/v1/ledger/revocations").content == revocation_list()
    root = Client().get("/api/v1/ledger/trusted-root").json()
    assert len(root["tlogs"]) == 1


def test_a_result_says_what_the_certificate_says(acme):
    certificate = _issue(acme)
    with pytest.raises(NotYetLoggedError):
        certificate_result(certificate)
    ledger_sequence()
    payload = certificate_files.loads(certificate_result(certificate)).payload
    assert svr.REGISTERED.encode() in payload
    assert certificate.digest.encode() in payload
    assert svr.COMMITTED.encode() not in payload


@pytest.fixture
def authority(tmp_path, settings):
    need("openssl")
    authority = TimestampAuthority(tmp_path / "tsa")
    settings.TIMESTAMP_AUTHORITIES = (authority.pem,)
    with serve(authority) as url:
        settings.TIMESTAMP_URL = url
        yield authority


def test_certificates_are_stamped_after_the_fact(acme, authority):
    statement = statements.Registration(**{**vars(STATEMENT), "registered_at": _now()})
    certificate = _issue(acme, statement)
    ledger_sequence()
    assert certificate_file(certificate) == bytes(certificate.body)
    assert certificates_stamp() == 1
    assert certificates_stamp() == 0
    stamped = certificate_files.read(certificate_file(certificate))
    assert len(stamped.timestamps) == 1
    report = verify_files(certificate_bundle(certificate), trust())
    assert report.passed
    assert {check.name: check.passed for check in report.checks}["timestamp"]


def _now():
    from django.utils import timezone

    return timezone.now()


def test_what_is_integrated_but_not_published_is_not_yet_known(acme):
    certificate = _issue(acme)
    ledger_sequence()
    by = certificate_revoke(
        organisation_id=acme.id, certificate=certificate, reason="The wrong file."
    )
    assert ledger_integrate() == 1
    (fact,) = digest_facts([certificate.digest])
    assert fact["revoked_by_log_index"] is None
    assert digest_facts([by.digest]) == []
    ledger_publish()
    (fact, _) = digest_facts([certificate.digest])
    assert fact["revoked_by_log_index"] == 1


def test_an_authority_that_is_away_or_unknown_holds_nothing_up(acme, authority, settings, tmp_path):
    certificate = _issue(acme)
    settings.TIMESTAMP_AUTHORITIES = (TimestampAuthority(tmp_path / "other", "Eve").pem,)
    with pytest.raises(TimestampError, match="does not verify"):
        certificate_stamp(certificate=certificate)
    settings.TIMESTAMP_URL = "http://127.0.0.1:9/"
    with pytest.raises(TimestampError, match="gives no answer"):
        certificate_stamp(certificate=certificate)
    assert certificates_stamp() == 0
    settings.TIMESTAMP_URL = ""
    assert certificates_stamp() == 0
    assert not Timestamp.objects.exists()
    assert ledger_sequence() == 1


def test_subjects_are_noted(acme):
    certificate = certificate_issue(
        organisation_id=acme.id, kind="registration", title="t", statement=STATEMENT
    )
    assert list(Subject.objects.values_list("certificate", "name", "digest")) == [
        (certificate.id, "model", STATEMENT.model_digest)
    ]
