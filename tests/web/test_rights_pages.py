"""The pages of those who are accused, reached by a link."""

import re

import pytest
from django.test import Client
from django.urls import reverse

from disputes.models import Case, Lodged, Retest
from disputes.services import case_add_runs, case_create
from ledger.models import Certificate
from ledger.services import ledger_sequence
from tests import factories
from tests.spellmark.certificates.certificate_samples import REGISTRATION, TRUST, bundle_of
from tests.verification.test_innocents_plot import asked


def text(response):
    return response.content.decode()


@pytest.fixture
def theirs(charlie_actor, acme) -> Certificate:
    """Charlie's registration, older than everything of alice's."""
    version = factories.published_version(charlie_actor, name="gull")
    ledger_sequence()
    return Certificate.objects.get(id=version.certificate_id)


@pytest.fixture
def case(theirs, alice_actor) -> Case:
    run = factories.finished_run(alice_actor)
    return case_create(
        actor=alice_actor, title="Robin was copied", description="For us alone.", runs=[run]
    )


@pytest.fixture
def link(as_bob, case) -> str:
    page = text(as_bob.post(reverse("web:case-share", args=[case.id])))
    return re.search(r"/shared/[A-Za-z0-9_-]{43}", page)[0]


def upload(name: str, data: bytes):
    from django.core.files.uploadedfile import SimpleUploadedFile

    return SimpleUploadedFile(name, data)


def test_anybody_with_the_link_sees_the_runs_and_nothing_else(client, case, link):
    page = text(client.get(link))
    for said in ("Robin was copied", "Random-key test", "How it met the protocol", "p-value"):
        assert said in page, said
    assert "For us alone." not in page
    assert "alice@example.org" not in page
    case.shares.get().refresh_from_db()
    assert case.shares.get().opened_at is not None
    run = case.runs.get()
    bundle = client.get(f"{link}/runs/{run.id}")
    assert bundle["Content-Type"] == "application/zip"
    assert client.get(f"{link}/runs/{case.id}").status_code == 404
    assert client.get(f"{link[:-1]}/").status_code == 404
    assert client.get("/shared/" + "A" * 43).status_code == 404


def test_the_accused_see_the_plots_and_what_innocent_models_say(client, alice_actor, case, link):
    page = text(client.get(link))
    assert page.count('<figure class="plot"><svg') == 1
    assert "Null pool" not in page
    run = factories.finished_trigger_run(alice_actor)
    asked(run, [])
    case_add_runs(actor=alice_actor, case=case, runs=[run])
    run.findings |= {"models": 0}
    run.save()
    assert "no innocent model was asked about the same triggers" in text(client.get(link))
    asked(run, [0, 1, 1])
    page = text(client.get(link))
    assert page.count('<figure class="plot"><svg') == 3
    assert "0 of 3 innocent models would be a match by the same triggers" in page
    assert "3 innocent models that were asked about the same give 0 to 1" in page


def test_the_accused_see_a_fingerprints_pool(client, alice_actor, case, link):
    run = factories.finished_fingerprint_run(alice_actor)
    case_add_runs(actor=alice_actor, case=case, runs=[run])
    page = text(client.get(link))
    assert "57 models; 0 of 27 that did not set the threshold were called a match" in page
    assert "One half of them set the threshold" in page


def test_charlie_lodges_globexs_registration(as_charlie, as_bob, case, link, theirs):
    page = text(as_charlie.get(link))
    assert f'value="{theirs.id}"' in page
    sent = {"certificate": theirs.id, "statement": "We were first."}
    response = as_charlie.post(f"{link}/registrations", sent)
    assert response["Location"] == link
    assert "not supported as it stands" in text(as_charlie.get(link))
    page = text(as_bob.get(reverse("web:case", args=[case.id])))
    for said in ("not supported as it stands", "We were first.", "gull v1, registered by Globex"):
        assert said in page, said


def test_a_lawyer_without_an_account_lodges_a_bundle(client, case, link):
    sent = {
        "name": "Initech’s lawyer",
        "bundle": upload("bundle.zip", bundle_of(REGISTRATION).dumps()),
        "trust_file": upload("trust.json", TRUST.dumps()),
    }
    assert client.post(f"{link}/registrations", sent)["Location"] == link
    assert Lodged.objects.get().name == "Initech’s lawyer"
    assert "undecided" in text(client.get(link))
    nonsense = {"name": "x", "bundle": upload("bundle.zip", b"nonsense")}
    response = client.post(f"{link}/registrations", nonsense)
    assert response.status_code == 400
    assert client.post(f"{link}/registrations", {"name": "x"}).status_code == 400
    assert Lodged.objects.count() == 1


def test_a_new_test_is_asked_for_and_started(client, as_bob, case, link):
    run = case.runs.get()
    assert client.post(f"{link}/retests", {"run": run.id, "reason": "x"}).status_code == 400
    sent = {"run": run.id, "name": "Globex", "reason": "Ask it again."}
    assert client.post(f"{link}/retests", sent)["Location"] == link
    retest = Retest.objects.get()
    page = text(as_bob.get(reverse("web:case", args=[case.id])))
    start = reverse("web:retest", args=[case.id, retest.id])
    assert start in page
    assert "Ask it again." in text(as_bob.get(start))
    assert as_bob.post(start, {}).status_code == 200  # without the key nothing starts
    retest.refresh_from_db()
    assert retest.again is None
    key = upload("robin.spellkey", factories.KEY.dumps().encode())
    response = as_bob.post(start, {"key": key, "headers": ""})
    retest.refresh_from_db()
    assert response["Location"] == reverse("web:run", args=[retest.again_id])
    assert case.runs.count() == 2


def test_a_link_that_was_ended_leads_nowhere(client, as_bob, as_charlie, case, link):
    end = reverse("web:share-end", args=[case.id, case.shares.get().id])
    assert as_charlie.post(end).status_code == 404
    assert client.get(link).status_code == 200
    as_bob.post(end)
    assert client.get(link).status_code == 404
    assert client.post(f"{link}/retests", {}).status_code == 404


def test_the_owners_people_are_offered_no_answer(as_bob, case, link):
    page = text(as_bob.get(link))
    assert "This is your own case" in page
    assert f"{link}/registrations" not in page
    sent = {"run": case.runs.get().id, "reason": "x"}
    assert as_bob.post(f"{link}/retests", sent).status_code == 400
    assert not Retest.objects.exists()


def test_a_form_from_elsewhere_is_refused(case, link):
    strict = Client(enforce_csrf_checks=True)
    assert strict.post(f"{link}/retests", {}).status_code == 403


def test_the_protocol_has_a_page(as_bob, as_charlie, case):
    run = case.runs.get()
    url = reverse("web:run-protocol", args=[run.id])
    page = text(as_bob.get(url))
    assert page.count("<li>") >= 12
    assert re.search(r"\d+ of 12 met", page)
    assert as_charlie.get(url).status_code == 404
