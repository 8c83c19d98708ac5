from datetime import UTC, datetime

import pytest
from django.db import IntegrityError, connection, transaction

from config.celery import app
from ledger.models import Certificate, Entry, QueuedEntry
from ledger.selectors import (
    NotYetLoggedError,
    certificate_bundle,
    certificate_entry_of,
    certificate_list,
    certificate_proof,
    certificate_statement,
    trust,
)
from ledger.services import certificate_issue, ledger_sequence
from registry.models import Version
from registry.services import file_upload, model_create, version_create, version_publish
from spellmark.certificates.bundle import Bundle
from spellmark.certificates.statements import Registration
from spellmark.certificates.trust import Trust
from spellmark.certificates.verify import verify_files
from tests.factories import model_file

STATEMENT = Registration(
    model_digest="a" * 64,
    model_name="robin",
    version=1,
    organisation="Acme",
    commitment=None,
    binding=None,
    scheme=None,
    parameters={},
    # Certainly after the key was made.
    registered_at=datetime(2099, 1, 1, 5, 0, 0, 123456, tzinfo=UTC),
)


def _issue(organisation, statement: Registration = STATEMENT) -> Certificate:
    return certificate_issue(
        organisation_id=organisation.id, kind="registration", title="t" * 300, statement=statement
    )


def test_a_certificate_comes_back_as_it_was_issued(acme):
    certificate = _issue(acme)
    assert certificate_statement(Certificate.objects.get(id=certificate.id)) == STATEMENT
    assert len(certificate.title) == 200
    assert list(certificate_list(organisation_id=acme.id)) == [certificate]


def test_a_certificate_waits_for_its_place_in_the_log(acme):
    certificate = _issue(acme)
    assert certificate_entry_of(certificate) is None
    with pytest.raises(NotYetLoggedError, match="waits for its place"):
        certificate_proof(certificate)
    ledger_sequence()
    assert certificate_entry_of(certificate).index == 0


def test_a_stranger_verifies_the_bundle_with_the_trust_file_alone(acme, globex):
    for number in range(1, 6):
        _issue(globex, _statement(number))
    certificate = _issue(acme)
    ledger_sequence()
    bundle = Bundle.loads(certificate_bundle(certificate).dumps())
    report = verify_files(bundle, Trust.loads(trust().dumps()))
    assert report.passed, report.checks
    assert report.statement == STATEMENT
    proof_of_another = certificate_bundle(Certificate.objects.exclude(id=certificate.id)[0]).proof
    mixed = Bundle(certificate=bundle.certificate, proof=proof_of_another)
    assert not verify_files(mixed, trust()).passed


def _statement(number: int) -> Registration:
    return Registration(**{**vars(STATEMENT), "version": number + 1})


def test_another_installations_certificate_is_not_believed(acme):
    certificate = _issue(acme)
    ledger_sequence()
    ours = trust()
    for stranger in (Trust((), ours.log_keys), Trust(ours.certificate_keys, ())):
        assert not verify_files(certificate_bundle(certificate), stranger).passed


def test_the_same_statement_is_not_certified_twice(acme):
    _issue(acme)
    with pytest.raises(IntegrityError), transaction.atomic():
        _issue(acme)
    assert QueuedEntry.objects.count() == 1


def test_a_business_transaction_that_rolls_back_leaves_no_entry(alice_actor):
    version = version_create(actor=alice_actor, model=model_create(actor=alice_actor, name="robin"))
    file_upload(actor=alice_actor, version=version, name="m.safetensors", chunks=[model_file()])
    with pytest.raises(RuntimeError, match="after all"), transaction.atomic():
        version_publish(actor=alice_actor, version=version)
        assert QueuedEntry.objects.count() == 1
        raise RuntimeError("not after all")
    assert ledger_sequence() == 0
    assert not Certificate.objects.exists()
    assert not Entry.objects.exists()
    assert Version.objects.get().state == "draft"


def test_the_sequencer_is_woken_when_the_transaction_commits(
    acme, monkeypatch, django_capture_on_commit_callbacks
):
    messages = []
    monkeypatch.setattr(app, "send_task", lambda *args, **options: messages.append((args, options)))
    with django_capture_on_commit_callbacks(execute=True):
        _issue(acme)
        assert messages == []
    ((args, options),) = messages
    assert args == ("tasks.ledger_sequence",)
    assert options["queue"] == "ledger"


def test_a_certificate_stays_when_the_broker_is_away(
    acme, monkeypatch, django_capture_on_commit_callbacks
):
    def send_task(*args, **options):
        raise ConnectionError("the broker is away")

    monkeypatch.setattr(app, "send_task", send_task)
    with django_capture_on_commit_callbacks(execute=True):
        certificate = _issue(acme)
    assert ledger_sequence() == 1
    assert certificate_entry_of(certificate).index == 0


def test_other_organisations_have_other_certificates(acme, globex):
    _issue(acme)
    assert not certificate_list(organisation_id=globex.id)


def test_the_log_shows_digests_only(acme):
    _issue(acme)
    ledger_sequence()
    with connection.cursor() as cursor:
        cursor.execute("SELECT body FROM ledger_entry")
        body = bytes(cursor.fetchone()[0])
    for word in (b"robin", b"Acme", str(acme.id).encode()):
        assert word not in body
