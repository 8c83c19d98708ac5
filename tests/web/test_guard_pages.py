import json
from datetime import timedelta
from html import unescape

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django.utils import timezone

from jobs.models import Job, SealedSecret
from protection.guards import client_end
from protection.models import GuardClient, Protection, Rehearsal
from registry.models import Commitment
from tests import factories

KEY, OTHER = factories.GUARD_KEY, factories.guard_key(8)
STEP_1 = reverse("web:guard", args=["robin", 1])


def text(response):
    return response.content.decode().replace("\xa0", " ")


def upload(key=KEY) -> SimpleUploadedFile:
    return SimpleUploadedFile("robin.spellkey", key.dumps().encode())


def commitment_of(key=KEY, **changes):
    told = {"digest": key.commitment(), "scheme": key.scheme, "parameters": dict(key.parameters)}
    return {"commitment": json.dumps(told | changes)}


def sent(key=KEY, **changes):
    return {"key_file": upload(key), "dataset": "fashion-mnist", "images": 500} | changes


@pytest.fixture
def version(alice_actor):
    return factories.published_version(alice_actor)


@pytest.fixture
def guard(alice_actor, version) -> Protection:
    return factories.finished_guard(alice_actor, version=version)


@pytest.fixture
def address(guard) -> str:
    return reverse("web:guard-page", args=[guard.id])


def test_the_version_leads_to_the_wizard(as_bob, version):
    page = text(as_bob.get(reverse("web:version", args=["robin", 1])))
    assert f'href="{STEP_1}"' in page
    assert f'href="{STEP_1}"' in text(as_bob.get(reverse("web:lock", args=["robin", 1])))


def test_the_wizard_tells_what_a_strength_costs(as_bob, version):
    page = text(as_bob.get(STEP_1))
    for told in (
        "Recommended:", "strength 50 ‰, 90 key bits, labels unchanged", "falls from 99 % to 94 %",
        "labels never change", 'type="range"', 'data-classes="10"', "which cost accuracy",
        "--scheme dynamic-watermark --classes 10 --strength 50 --cells 1 --label-margin 0",
    ):  # fmt: skip
        assert told in page, told
    page = text(as_bob.get(STEP_1, {"strength": 200, "cells": 4, "label_margin": 100}))
    for told in (
        "Chosen:",
        "falls from 99 % to 79.2 %",
        "may get another label",
        "--cells 4",
    ):
        assert told in page, told
    page = text(as_bob.get(STEP_1, {"strength": "999"}))
    assert "strength is a whole number" in page
    assert 'role="alert"' in page


def test_a_commitment_leads_to_the_measuring(as_bob, version):
    response = as_bob.post(STEP_1, commitment_of())
    commitment = Commitment.objects.get()
    assert response.url == reverse("web:guard-start", args=["robin", 1, commitment.id])
    page = text(as_bob.get(response.url))
    assert "Strength 50 ‰" in page
    assert response.url in text(as_bob.get(STEP_1))
    made = as_bob.post(response.url, sent(decimals=4))
    assert response.url not in text(as_bob.get(STEP_1))
    guard = Protection.objects.get()
    assert made.url == reverse("web:job", args=[guard.job_id])
    assert guard.settings == {
        "referenceSeed": guard.settings["referenceSeed"],
        "images": 500, "decimals": 4, "topK": None, "thresholds": None, "references": [],
    }  # fmt: skip
    rows = str([*Protection.objects.values(), *Job.objects.values()])
    assert KEY.secret.hex() not in rows
    assert KEY.secret not in bytes(SealedSecret.objects.get().ciphertext)
    assert "Guards" in text(as_bob.get(made.url))
    page = text(as_bob.get(reverse("web:guard-page", args=[guard.id])))
    assert "waits for a worker" in page
    assert "What it costs" not in page


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"scheme": "key-lock/v1"}, "which is no guard"),
        ({"parameters": {**KEY.parameters, "classes": 9}}, "The key is for 9 classes"),
        ({"parameters": {**KEY.parameters, "cells": 3}}, "a power of two"),
        ({"digest": "x"}, "This is not a commitment"),
    ],
)
def test_a_commitment_that_does_not_fit_is_refused(as_bob, version, changes, told):
    assert told in text(as_bob.post(STEP_1, commitment_of(**changes)))
    assert not Commitment.objects.exists()


def test_a_guard_that_cannot_be_started_is_told(as_bob, guard):
    step_2 = reverse("web:guard-start", args=["robin", 1, guard.commitment_id])
    assert "There is a guard under this key already" in text(as_bob.post(step_2, sent()))
    assert "does not open" in text(as_bob.post(step_2, sent(OTHER)))
    assert "Select a valid choice" in text(as_bob.post(step_2, sent(dataset="nowhere")))


def test_a_guard_has_a_page(as_viewer, guard, address):
    response = as_viewer.get(reverse("web:protection", args=[guard.id]))
    assert response.url == address
    page = text(as_viewer.get(address))
    certificate = reverse("web:certificate", args=[guard.commitment.certificate_id])
    for told in (
        "in force", "falls from 99 % to 94 %", "91.2%", "0.089", "0.262", "0.298", "3.4%",
        certificate, "GuardMiddleware", "Rehearse a theft", "leaves no trace",
    ):  # fmt: skip
        assert told in page, told
    for told in ("Rotate the key", "Add a client", "data-configuration", "Verify a suspect"):
        assert told not in page, told
    page = text(as_viewer.get(reverse("web:version", args=["robin", 1])))
    assert address in page
    assert "no label changes" in page
    assert address in text(as_viewer.get(reverse("web:job", args=[guard.job_id])))


def test_the_lines_for_servers_know_whether_clients_have_keys_of_their_own(
    as_bob, alice_actor, guard, address
):
    page = unescape(text(as_bob.get(address)))
    for told in (
        'GuardMiddleware, guard_file="guard-robin-v1.json")', '@guarded("guard-robin-v1.json")',
        "guard_response(guard, response, payload)", "pb_utils.Tensor", "guard(probabilities)",
    ):  # fmt: skip
        assert told in page, told
    assert "client_of" not in page
    client = factories.guard_client(alice_actor, guard)
    page = unescape(text(as_bob.get(address)))
    for told in (
        'guard_file="guard-robin-v1.json", client_of=client_of)',
        '@guarded("guard-robin-v1.json", client_of=client_of)',
        'guards = load_guards("guard-robin-v1.json")',
        "guard_response(guards(client), response, payload)",
        "guards(client)(probabilities)",
    ):
        assert told in page, told
    client_end(actor=alice_actor, client=client)
    assert "client_of" not in text(as_bob.get(address))


def test_a_suspect_is_verified_against_it(as_bob, alice_actor, guard, address):
    factories.endpoint_suspect(alice_actor)
    run = f"{reverse('web:run-new')}?protection={guard.id}"
    assert run in text(as_bob.get(address))
    assert f'<option value="{guard.id}" selected>' in text(as_bob.get(run))


def test_a_viewer_sends_nothing(as_viewer, address):
    for kind in ("client", "configuration"):
        assert as_viewer.post(address, {"kind": kind}).status_code == 403


def test_clients_are_added_and_ended(as_bob, guard, address):
    response = as_bob.post(address, {"kind": "client", "name": "shop", "key_file": upload()})
    assert response.url == address
    client = GuardClient.objects.get()
    page = text(as_bob.get(address))
    assert client.commitment in page
    end = reverse("web:guard-client-end", args=[guard.id, client.id])
    assert end in page
    assert as_bob.post(end).url == address
    page = text(as_bob.get(address))
    assert end not in page
    assert '<span class="badge">ended</span>' in page
    page = text(as_bob.post(address, {"kind": "client", "name": "shop", "key_file": upload()}))
    assert "has, or had, a client of that name" in page
    page = text(as_bob.post(address, {"kind": "client", "name": "a b", "key_file": upload()}))
    assert "without spaces" in page
    assert KEY.secret.hex() not in str([*GuardClient.objects.values()])


def test_the_servers_file_is_made_from_the_key_in_one_request(as_bob, alice_actor, guard, address):
    factories.guard_client(alice_actor, guard)
    client_end(actor=alice_actor, client=factories.guard_client(alice_actor, guard, name="app"))
    response = as_bob.post(address, {"kind": "configuration", "download-key_file": upload()})
    assert response["Content-Disposition"] == 'attachment; filename="guard-robin-v1.json"'
    assert "no-store" in response["Cache-Control"]
    told = response.json()
    assert told["key"] == json.loads(KEY.dumps())
    assert told["clients"] == {"shop": guard.clients.get(name="shop").binding}
    wrong = as_bob.post(address, {"kind": "configuration", "download-key_file": upload(OTHER)})
    assert "does not open the registered commitment" in text(wrong)
    for page in (text(wrong), text(as_bob.get(address))):
        assert json.loads(OTHER.dumps())["secret"] not in page
        assert json.loads(KEY.dumps())["secret"] not in page


def test_a_key_is_rotated(as_bob, guard, address):
    wizard = f"{STEP_1}?replaces={guard.id}"
    assert wizard in text(as_bob.get(address))
    assert "A new key for the guard" in text(as_bob.get(wizard))
    response = as_bob.post(wizard, commitment_of(OTHER))
    assert response.url.endswith(f"?replaces={guard.id}")
    assert "Takes the place of" in text(as_bob.get(response.url))
    as_bob.post(response.url, sent(OTHER, overlap_days=7))
    successor = Protection.objects.get(replaces=guard)
    assert successor.settings["overlapDays"] == 7
    assert "Replaced by" in text(as_bob.get(address))
    factories.guard_done(successor)
    page = text(as_bob.get(address))
    assert "Until then both keys serve" in page
    assert "Save this guard’s file anew" in page
    assert "Rotate the key" not in page
    assert address in text(as_bob.get(reverse("web:guard-page", args=[successor.id])))


def test_a_guard_that_ended_serves_no_more(as_bob, guard, address):
    past = timezone.now() - timedelta(days=1)
    Protection.objects.filter(id=guard.id).update(
        valid_from=past - timedelta(days=9), valid_until=past
    )
    page = text(as_bob.get(address))
    assert '<span class="badge">ended</span>' in page
    for told in ("Rotate the key", "Add a client", "In front of your server"):
        assert told not in page, told


def test_strangers_and_auditors_get_nowhere(
    as_charlie, as_auditor, alice_actor, charlie_actor, guard, address
):
    client = factories.guard_client(alice_actor, guard)
    start = reverse("web:guard-start", args=["robin", 1, guard.commitment_id])
    end = reverse("web:guard-client-end", args=[guard.id, client.id])
    for one in (address, STEP_1, start):
        assert as_charlie.get(one).status_code == 404
        assert as_auditor.get(one).status_code == 403
    assert as_charlie.post(end).status_code == 404
    factories.published_version(charlie_actor)
    assert as_charlie.get(STEP_1, {"replaces": guard.id}).status_code == 404
    assert as_charlie.get(STEP_1, {"replaces": "x"}).status_code == 404


def test_a_theft_is_rehearsed_and_its_outcome_shown(as_bob, guard, address):
    page = text(as_bob.get(address))
    assert "Nobody has copied this API for a try yet" in page
    assert "made: collages, blends and noise" in page
    fields = {"kind": "attacks", "theft-key_file": upload(), "theft-dataset": "fashion-mnist",
              "theft-other_dataset": "fashion-mnist", "theft-budget": "quick",
              "theft-attacks": ["soft-answers", "labels-only"]}  # fmt: skip
    response = as_bob.post(address, fields)
    rehearsal = Rehearsal.objects.get()
    assert rehearsal.other_dataset == "fashion-mnist"
    assert "others from fashion-mnist" in text(as_bob.get(address))
    assert response.url == reverse("web:job", args=[rehearsal.job_id])
    assert "Watch its job" in text(as_bob.get(address))
    assert f"{address}#rehearsal" in text(as_bob.get(response.url))
    rehearsal.results = [
        {"name": "soft-answers", "architecture": "small-resnet", "queries": 8000, "accuracy": 0.884,
         "agreement": 0.95, "seconds": 30.0, "verdict": "match", "p_value": 2e-7, "questions": 7,
         "access": "probabilities", "details": {"reason": "It leans as the key says."}},
    ]  # fmt: skip
    rehearsal.save()
    page = text(as_bob.get(address))
    for told in (
        "Copy from probabilities",
        "small-resnet<br><small>8,000 queries",
        "88.4%",
        "match",
    ):
        assert told in page
    assert "Watch its job" not in page


def test_a_wrong_key_rehearses_nothing(as_bob, guard, address):
    fields = {"kind": "attacks", "theft-key_file": upload(OTHER), "theft-dataset": "fashion-mnist",
              "theft-budget": "quick", "theft-attacks": ["soft-answers"]}  # fmt: skip
    assert "does not open the registered commitment" in text(as_bob.post(address, fields))
    assert not Rehearsal.objects.exists()
