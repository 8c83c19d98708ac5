"""Those who are accused answer: charlie of globex, or anybody with the link to the case."""

import hashlib
from dataclasses import replace

import pytest
from django.utils.html import escape

from accounts.actors import ForbiddenError
from disputes.models import Case, Lodged, Report, Retest, Share
from disputes.report import build_report
from disputes.report.protocol import MET, NOT_MET, protocol_of
from disputes.rights import (
    lodge_bundle,
    lodge_certificate,
    retest_request,
    retest_start,
    share_create,
    share_end,
    share_use,
)
from disputes.services import DisputeError, case_create, report_create
from disputes.standing import (
    EARLIER,
    LATER,
    OTHER,
    UNDECIDED,
    case_standings,
    conclusion_of,
)
from jobs.services import job_cancel
from ledger.models import Certificate
from ledger.revocations import certificate_revoke
from ledger.selectors import certificate_bundle, trust
from ledger.services import ledger_sequence
from registry import storage
from registry.services import file_upload, model_create, version_create, version_publish
from spellmark.certificates import certificate, timestamps
from spellmark.certificates.bundle import Bundle
from spellmark.certificates.certificate import loads
from spellmark.certificates.errors import FormatError
from tests import factories
from tests.programs import need
from tests.spellmark.certificates.certificate_samples import (
    CHARLIE,
    REGISTRATION,
    TRUST,
    VERDICT,
    bundle_of,
)
from tests.timestamp_authority import TimestampAuthority
from verification.models import Run
from verification.services import suspect_file_create

STOLEN = factories.model_file(description="the suspect")
SHA256 = hashlib.sha256(STOLEN).hexdigest()
NOT_SUPPORTED = (
    "The claim is not supported: the suspect was registered before the owner’s model and secret "
    "were."
)


def registered(actor, *, name="gull", data=STOLEN) -> Certificate:
    """A version of one file, in the log."""
    version = version_create(actor=actor, model=model_create(actor=actor, name=name))
    file_upload(actor=actor, version=version, name="model.safetensors", chunks=[data])
    certificate_id = version_publish(actor=actor, version=version).certificate_id
    ledger_sequence()
    return Certificate.objects.get(id=certificate_id)


def run_against_the_file(actor) -> Run:
    """A run that is over; no verdict is needed to tell whose registration is earlier."""
    suspect = suspect_file_create(actor=actor, name="theirs", chunks=[STOLEN])
    return factories.cancelled_run(actor, suspect=suspect)


def shared(actor, *runs: Run) -> Share:
    return share_create(actor=actor, case=case_create(actor=actor, title="Robin", runs=runs))[0]


def outcomes(case: Case) -> list[str]:
    return [c.outcome for one in case_standings(case) for c in one.comparisons]


def conclusion(case: Case) -> str:
    return conclusion_of(case_standings(case))


def page_of(actor, case: Case) -> str:
    report = Report.objects.get(id=report_create(actor=actor, case=case).id)
    return build_report(report, lambda share, step: None).html.decode()


def test_an_earlier_dated_suspect_wins(alice_actor, charlie_actor):
    theirs = registered(charlie_actor)
    run = run_against_the_file(alice_actor)
    share = shared(alice_actor, run)
    lodge_certificate(actor=charlie_actor, share=share, certificate=theirs, statement="Ours.")
    (standing,) = case_standings(share.case)
    (found,) = standing.comparisons
    assert (found.outcome, found.proved) == (EARLIER, True)
    assert conclusion(share.case) == NOT_SUPPORTED
    first = protocol_of(Run.objects.get(id=run.id))[0]
    assert (first.state, "lodged an earlier registration" in first.how) == (NOT_MET, True)
    page = page_of(alice_actor, share.case)
    assert escape(NOT_SUPPORTED) in page
    for said in ("Registration 1", "Ours.", "gull v1", escape(found.how), "lodged/1/registration"):
        assert said in page, said


def test_a_later_registration_of_a_stolen_model_loses(alice_actor, charlie_actor):
    run = run_against_the_file(alice_actor)
    share = shared(alice_actor, run)
    lodge_certificate(actor=charlie_actor, share=share, certificate=registered(charlie_actor))
    assert outcomes(share.case) == [LATER]
    assert conclusion(share.case) == ""
    page = page_of(alice_actor, share.case)
    assert "not supported" not in page
    assert "later" in page


def test_an_earlier_registration_of_another_model_says_nothing(alice_actor, charlie_actor):
    other = registered(charlie_actor, data=factories.model_file(description="another"))
    share = shared(alice_actor, run_against_the_file(alice_actor))
    lodge_certificate(actor=charlie_actor, share=share, certificate=other)
    assert (outcomes(share.case), conclusion(share.case)) == ([OTHER], "")


def test_of_an_address_the_accused_only_says_what_it_is(alice_actor, charlie_actor):
    theirs = registered(charlie_actor)
    share = shared(alice_actor, factories.finished_run(alice_actor))
    lodge_certificate(actor=charlie_actor, share=share, certificate=theirs)
    assert outcomes(share.case) == [EARLIER]
    assert conclusion(share.case).startswith("The claim is not supported as it stands")


def test_nobody_lodges_what_is_not_theirs(alice_actor, bob_actor, charlie_actor):
    run = factories.finished_run(alice_actor)
    share = shared(alice_actor, run)
    owners = Certificate.objects.get(digest=run.registration_digest)
    with pytest.raises(DisputeError, match="another organisation"):
        lodge_certificate(actor=charlie_actor, share=share, certificate=owners)
    # The owner's own evidence does not turn against them in other hands.
    bundle = certificate_bundle(owners).dumps()
    with pytest.raises(DisputeError, match="this registry’s own log"):
        lodge_bundle(share=share, name="anybody", bundle=bundle)
    with pytest.raises(DisputeError, match="another organisation"):
        lodge_bundle(share=share, name="anybody", bundle=bundle, actor=charlie_actor)
    with pytest.raises(DisputeError, match="your own organisation’s"):
        lodge_certificate(actor=bob_actor, share=share, certificate=owners)
    verdict = Certificate.objects.get(id=run.certificate_id)
    verdict_of_charlie = replace_owner(verdict, charlie_actor)
    with pytest.raises(DisputeError, match="no registration"):
        lodge_certificate(actor=charlie_actor, share=share, certificate=verdict_of_charlie)
    assert not Lodged.objects.exists()


def replace_owner(row: Certificate, actor) -> Certificate:
    """The row as it would be if it were charlie's; it is not saved."""
    row.organisation_id = actor.organisation.id
    return row


def test_a_revoked_registration_does_not_count(alice_actor, charlie_actor):
    theirs = registered(charlie_actor)
    share = shared(alice_actor, run_against_the_file(alice_actor))
    lodge_certificate(actor=charlie_actor, share=share, certificate=theirs)
    assert outcomes(share.case) == [EARLIER]
    certificate_revoke(
        organisation_id=charlie_actor.organisation.id, certificate=theirs, reason="a mistake"
    )
    ledger_sequence()
    assert (outcomes(share.case), conclusion(share.case)) == ([UNDECIDED], "")


# What another registry's log holds: alice.example's, of the certificate tests.


def elsewhere(authority: TimestampAuthority | None = None, **changed) -> bytes:
    """A registration of the suspect's file in another log, which says that it is of 2026."""
    said = {
        "model_digest": hashlib.sha256(bytes.fromhex(SHA256)).hexdigest(),
        "organisation": "Initech", "commitment": None, "binding": None, "scheme": None,
    }  # fmt: skip
    bundle = bundle_of(replace(REGISTRATION, **(said | changed)))
    if authority is not None:
        envelope = loads(bundle.certificate)
        response = authority.respond(timestamps.request(envelope.signature))
        bundle = replace(bundle, certificate=certificate.dumps(envelope, [response]))
    return bundle.dumps()


def lodged_elsewhere(share: Share, bundle: bytes, **choices) -> Lodged:
    return lodge_bundle(
        share=share, name="Initech’s lawyer", bundle=bundle, trust_file=TRUST.dumps(), **choices
    )


def test_a_registration_that_is_dated_back_in_a_log_of_ones_own_proves_nothing(alice_actor):
    """Demand 1: its own log says February; nobody outside does."""
    share = shared(alice_actor, run_against_the_file(alice_actor))
    lodged_elsewhere(share, elsewhere())
    assert (outcomes(share.case), conclusion(share.case)) == ([UNDECIDED], "")
    (standing,) = case_standings(share.case)
    assert "whose clock and keys nobody here vouches for" in standing.comparisons[0].how
    assert "lodged/1/trust.json" in page_of(alice_actor, share.case)


def test_another_log_decides_nothing_even_with_a_stamp(alice_actor, settings, tmp_path):
    """A key can be made afterwards under which a stamped ECDSA signature fits other words."""
    need("openssl")
    authority = TimestampAuthority(tmp_path / "tsa")
    settings.TIMESTAMP_AUTHORITIES = (authority.pem,)
    theirs = elsewhere(authority)
    share = shared(alice_actor, run_against_the_file(alice_actor))
    lodged_elsewhere(share, theirs)
    assert (outcomes(share.case), conclusion(share.case)) == ([UNDECIDED], "")


def test_a_bundle_that_was_edited_is_rejected(alice_actor):
    """Demand 1: one byte of the statement, or of the proof."""
    share = shared(alice_actor, factories.finished_run(alice_actor))
    whole = Bundle.loads(elsewhere())
    envelope = loads(whole.certificate)
    earlier = envelope.payload.replace(b"2026-02-01", b"2026-01-01")
    assert earlier != envelope.payload
    edited = replace(whole, certificate=certificate.dumps(replace(envelope, payload=earlier)))
    other_key = bundle_of(REGISTRATION, key=CHARLIE)
    other_place = replace(whole, proof=bundle_of(REGISTRATION).proof)
    for bundle in (edited, other_key, other_place):
        with pytest.raises(DisputeError, match="does not hold"):
            lodged_elsewhere(share, bundle.dumps())
    with pytest.raises(DisputeError, match="holds no registration"):
        lodged_elsewhere(share, bundle_of(VERDICT).dumps())
    with pytest.raises(DisputeError, match="the owner’s own"):
        lodged_elsewhere(share, elsewhere(organisation="ACME"))
    with pytest.raises(FormatError):
        lodged_elsewhere(share, b"PK nonsense")
    # Without the other log's keys nothing vouches for it.
    with pytest.raises(DisputeError, match="does not hold"):
        lodge_bundle(share=share, name="anybody", bundle=whole.dumps())
    assert not Lodged.objects.exists()
    lodged_elsewhere(share, whole.dumps())
    with pytest.raises(DisputeError, match="was lodged already"):
        lodged_elsewhere(share, whole.dumps())


def test_a_row_that_was_edited_decides_nothing(alice_actor):
    """The row names other bytes than those that were lodged."""
    share = shared(alice_actor, factories.finished_run(alice_actor))
    row = lodged_elsewhere(share, elsewhere())
    row.trust_sha256 = storage.put(trust().dumps())
    row.save()
    (standing,) = case_standings(share.case)
    assert (standing.record.registration, outcomes(share.case)) == (None, [UNDECIDED])


# The link, and the new test.


def test_a_link_works_until_it_is_ended(alice_actor, bob_actor, charlie_actor):
    case = case_create(actor=alice_actor, title="Robin", runs=[])
    share, token = share_create(actor=bob_actor, case=case)
    assert token not in str(Share.objects.values())
    # The owner's people looking at their own link is no access of the accused.
    assert share_use(token=token, actor=alice_actor).opened_at is None
    assert share_use(token=token, actor=None).opened_at is not None
    assert share_use(token=token[:-1], actor=charlie_actor) is None
    share_end(actor=bob_actor, share=share)
    assert share_use(token=token, actor=charlie_actor) is None


def test_a_new_test_has_a_fresh_seed_and_opens_fresh_triggers(alice_actor, charlie_actor):
    run = factories.finished_trigger_run(alice_actor)
    case = case_create(actor=alice_actor, title="Robin", runs=[run])
    share, token = share_create(actor=alice_actor, case=case)
    assert protocol_of(run)[8].state == NOT_MET
    share_use(token=token, actor=charlie_actor)
    assert protocol_of(run)[8].state == MET
    retest = retest_request(
        share=share, run=run, name="", reason="We never saw it.", actor=charlie_actor
    )
    with pytest.raises(DisputeError, match="asked for already"):
        retest_request(share=share, run=run, name="Globex", reason="again")
    with pytest.raises(ForbiddenError):
        retest_start(actor=replace(alice_actor, permissions=frozenset({"read"})), retest=retest)
    with pytest.raises(DisputeError, match="needs the key"):
        retest_start(actor=alice_actor, retest=retest)
    again = retest_start(actor=alice_actor, retest=retest, key=factories.TRIGGER_KEY)
    assert again.seed != run.seed
    assert again.rule["run"] == 2  # a further try, at a smaller share of α
    assert list(again.rule["used"]) == sorted(
        run.exchanges.values_list("line__image_index", flat=True)
    )
    assert set(case.runs.all()) == {run, again}
    with pytest.raises(DisputeError, match="started already"):
        retest_start(actor=alice_actor, retest=retest, key=factories.TRIGGER_KEY)


def test_the_new_test_stands_beside_the_first_in_the_report(alice_actor):
    run = factories.finished_fingerprint_run(alice_actor)
    share = shared(alice_actor, run)
    retest_request(share=share, run=run, name="Globex", reason="Ask again.")
    assert "it was not started" in page_of(alice_actor, share.case)
    again = retest_start(actor=alice_actor, retest=Retest.objects.get())
    kept = {name: value for name, value in run.rule.items() if name != "seed"}
    assert (again.rule, again.seed != run.seed) == (kept, True)
    job_cancel(job=again.job, by=alice_actor.name)
    page = page_of(alice_actor, share.case)
    for said in ("A new test of run 1", "run 2 of this case, with a fresh seed", str(again.id)):
        assert said in page, said


def test_the_owner_asks_nothing_of_themselves(alice_actor, bob_actor):
    run = factories.finished_run(alice_actor)
    share = shared(alice_actor, run)
    with pytest.raises(DisputeError, match="your own organisation’s"):
        retest_request(share=share, run=run, name="", reason="x", actor=bob_actor)
    stray = factories.finished_run(alice_actor, protection=run.protection)
    with pytest.raises(DisputeError, match="is not over"):
        retest_request(share=share, run=stray, name="Globex", reason="x")
