"""The earlier registration wins: nobody claims a file that another owner registered before."""

import pytest

from disputes.report.protocol import NOT_MET, protocol_of
from ledger.keys import ensure_signing_keys
from ledger.models import Certificate
from ledger.revocations import certificate_revoke
from ledger.selectors import trust
from ledger.services import ledger_sequence
from registry.services import file_upload, model_create, version_create, version_publish
from spellmark.certificates.verify import verify_files
from spellmark.errors import SpellmarkError
from spellmark.evidence import transcript
from spellmark.evidence.recompute import recompute
from tests import factories
from verification.fingerprints import next_best
from verification.selectors import earlier_registration, run_bundle
from verification.services import suspect_file_create

BODY = factories.model_file(description="hers")


def registered(actor, body: bytes = BODY, *, name: str = "original"):
    """A version with this file, in the log."""
    ensure_signing_keys()
    version = version_create(actor=actor, model=model_create(actor=actor, name=name))
    file_upload(actor=actor, version=version, name="model.safetensors", chunks=[body])
    version = version_publish(actor=actor, version=version)
    ledger_sequence()
    return version


def suspect_of(actor, body: bytes = BODY):
    return suspect_file_create(actor=actor, name="found", chunks=[body])


def by_key(actor):
    return factories.finished_run(actor, suspect=suspect_of(actor))


def by_fingerprint(actor):
    return factories.finished_fingerprint_run(actor, suspect=suspect_of(actor))


@pytest.mark.parametrize("finished", [by_key, by_fingerprint])
def test_a_match_on_a_file_that_was_registered_before_is_none(alice_actor, charlie_actor, finished):
    registered(charlie_actor)
    run = finished(alice_actor)
    assert run.verdict == "inconclusive"
    assert run.reason.startswith("Entry 0 of the log is another owner’s registration")
    assert run.p_value <= run.rule["alpha"]
    report = verify_files(run_bundle(run), trust())
    assert report.passed, report.checks
    assert (report.statement.verdict, report.statement.reason) == (run.verdict, run.reason)
    assert report.statement.parameters["earlierRegistration"] == 0
    state = protocol_of(run)[0]
    assert (state.state, "Entry 0 of the log" in state.how) == (NOT_MET, True)
    # No other method would make it the owner's.
    assert next_best(run) is None


def test_a_transcript_cannot_forget_it(alice_actor, charlie_actor):
    registered(charlie_actor)
    header, exchanges = transcript.read(run_bundle(by_key(alice_actor)).transcript)
    header.pop("format")
    assert recompute(transcript.write(header, exchanges))["verdict"] == "inconclusive"
    forgotten = header | {"earlierRegistration": None}
    assert recompute(transcript.write(forgotten, exchanges))["verdict"] == "match"
    with pytest.raises(SpellmarkError):
        recompute(transcript.write(header | {"earlierRegistration": "one"}, exchanges))


def test_what_is_another_file_or_later_changes_nothing(alice_actor, charlie_actor):
    registered(charlie_actor, factories.model_file(description="another"))
    run = by_key(alice_actor)
    assert run.verdict == "match"
    registered(charlie_actor, name="copied")
    assert earlier_registration(run) is None


def test_who_registered_the_file_first_keeps_it(alice_actor, charlie_actor):
    registered(alice_actor)
    registered(charlie_actor)
    assert by_key(alice_actor).verdict == "match"


def test_a_registration_that_was_revoked_counts_for_nothing(alice_actor, charlie_actor):
    certificate_revoke(
        organisation_id=charlie_actor.organisation.id,
        certificate=Certificate.objects.get(id=registered(charlie_actor).certificate_id),
        reason="It was not ours.",
    )
    assert by_key(alice_actor).verdict == "match"


def test_of_an_endpoint_nobody_knows_which_file_it_is(alice_actor, charlie_actor):
    registered(charlie_actor)
    assert earlier_registration(factories.finished_run(alice_actor)) is None
