"""The wizard of trigger watermarks, the page of one, and the page of a run against it."""

import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from jobs.models import Job, SealedSecret
from protection.models import Protection, Rehearsal
from protection.services import attacks_create, attacks_finish
from registry.models import Commitment
from tests import factories
from tests.verification.test_innocents_plot import asked

KEY = factories.TRIGGER_KEY
STEP_1 = reverse("web:trigger", args=["robin", 1])


def text(response):
    return response.content.decode().replace("\xa0", " ")


def upload(key=KEY) -> SimpleUploadedFile:
    return SimpleUploadedFile("robin.spellkey", key.dumps().encode())


def commitment_of(key=KEY, **changes):
    told = {"digest": key.commitment(), "scheme": key.scheme, "parameters": dict(key.parameters)}
    return {"commitment": json.dumps(told | changes)}


@pytest.fixture
def version(alice_actor):
    return factories.published_version(alice_actor)


@pytest.fixture
def watermark(alice_actor, version) -> Protection:
    return factories.finished_trigger(alice_actor, version=version)


def test_the_version_leads_to_the_wizard(as_bob, version):
    page = text(as_bob.get(reverse("web:version", args=["robin", 1])))
    assert f'href="{STEP_1}"' in page
    assert f'href="{STEP_1}"' in text(as_bob.get(reverse("web:lock", args=["robin", 1])))


def test_the_wizard_tells_what_a_reserve_is_good_for(as_bob, version):
    page = text(as_bob.get(STEP_1))
    for told in (
        "Recommended:", "256 triggers, up to 64 a run, alpha 1 in 1,000,000", "lasts for 4 runs",
        'data-height="8"', 'data-grid="7"', "--scheme trigger-watermark --classes 10",
    ):  # fmt: skip
        assert told in page, told
    page = text(as_bob.get(STEP_1, {"triggers": 512, "queries": 32}))
    assert "Chosen:" in page and "lasts for 16 runs" in page and "--triggers 512" in page
    page = text(as_bob.get(STEP_1, {"queries": 5}))
    assert "which is above alpha" in page
    assert "a whole number from" in text(as_bob.get(STEP_1, {"triggers": "many"}))


def test_a_key_is_committed_and_the_job_starts(as_bob, version):
    page = as_bob.post(STEP_1, commitment_of(), follow=True)
    commitment = Commitment.objects.get()
    assert (commitment.digest, commitment.parameters) == (KEY.commitment(), KEY.parameters)
    address = reverse("web:trigger-start", args=["robin", 1, commitment.id])
    assert page.redirect_chain[-1][0] == address
    sent = {"key_file": upload(), "dataset": "fashion-mnist", "images": 500, "epochs": 2}
    response = as_bob.post(address, sent)
    row = Protection.objects.get()
    assert response["Location"] == reverse("web:job", args=[row.job_id])
    assert (row.kind, row.settings) == ("trigger", {"images": 500, "epochs": 2})
    assert KEY.secret not in bytes(SealedSecret.objects.get().ciphertext)
    assert KEY.secret.hex() not in str([*Protection.objects.values(), *Job.objects.values()])
    again = text(as_bob.post(address, {**sent, "key_file": upload()}))
    assert "There is a watermark under this key already" in again
    assert "Trigger watermark" in text(as_bob.get(reverse("web:version", args=["robin", 1])))


def test_a_key_for_another_model_is_refused_before_it_is_registered(as_bob, version):
    other = factories.trigger_key(height=9)
    assert "Make a key for this version" in text(as_bob.post(STEP_1, commitment_of(other)))
    guards = factories.GUARD_KEY
    assert "which is no trigger watermark" in text(as_bob.post(STEP_1, commitment_of(guards)))
    assert not Commitment.objects.exists()


def test_the_page_shows_cost_reserve_and_root(as_alice, watermark):
    page = text(as_alice.get(reverse("web:trigger-page", args=[watermark.id])))
    for told in (
        "0.3 points of accuracy", "96 of 96", watermark.settings["root"][:8],
        "No run has opened one yet", "Nobody has tried to remove",
    ):  # fmt: skip
        assert told in page, told
    assert as_alice.get(reverse("web:protection", args=[watermark.id])).status_code == 302
    assert as_alice.get(reverse("web:unlock", args=[watermark.id])).status_code == 404


def test_what_removals_reached_stands_on_the_page(as_alice, alice_actor, watermark):
    address = reverse("web:trigger-page", args=[watermark.id])
    response = as_alice.post(address, {
        "kind": "attacks", "key_file": upload(), "dataset": "fashion-mnist", "budget": "quick",
        "attacks": ["fine-tune-all", "distil-labels"],
    })  # fmt: skip
    rehearsal = Rehearsal.objects.get()
    assert response["Location"] == reverse("web:job", args=[rehearsal.job_id])
    attacks_finish(
        rehearsal=rehearsal,
        job=factories.claimed(rehearsal.job),
        results=[
            {
                "name": "fine-tune-all", "accuracy": 0.9, "seconds": 3.0, "verdict": "match",
                "p_value": 1.6e-7, "hits": 8, "questions": 8, "details": {"learning_rate": 0.001},
            },
            {
                "name": "distil-labels", "accuracy": 0.88, "seconds": 9.0, "verdict": "no match",
                "p_value": 1.0, "hits": 5, "questions": 32, "details": {},
            },
        ],
    )  # fmt: skip
    page = text(as_alice.get(address))
    for told in ("Fine-tuning, all layers", "learning rate 0.001", "8 of 8", "5 of 32", "88.0%"):
        assert told in page, told


def test_attacks_of_another_kind_are_refused(alice_actor, watermark):
    from protection.errors import ProtectionError

    with pytest.raises(ProtectionError, match="no such attack"):
        attacks_create(
            actor=alice_actor, protection=watermark, key=KEY, dataset="fashion-mnist",
            attacks=["labels-only"],
        )  # fmt: skip


@pytest.mark.parametrize(
    ("verdict", "told"),
    [
        ("match", "it knows the labels of images that nobody chose"),
        ("no match", "does not know the triggers’ labels better than chance"),
        ("inconclusive", "speaks neither for nor against"),
    ],
)
def test_the_page_of_a_run_says_what_was_found(as_alice, alice_actor, watermark, verdict, told):
    run = factories.finished_trigger_run(alice_actor, verdict=verdict, trigger=watermark)
    page = text(as_alice.get(reverse("web:run", args=[run.id])))
    for words in (
        told, "Verified evidence", "Tries counted", "The evidence, answer by answer",
        "key 1 that you committed to and run 1", "trigger watermark on",
    ):  # fmt: skip
        assert words in page, words
    page = text(as_alice.get(reverse("web:trigger-page", args=[watermark.id])))
    assert f"{96 - run.exchanges.count()} of 96" in page


def test_the_page_of_a_run_says_what_the_null_pool_said(as_alice, alice_actor, watermark):
    run = factories.finished_trigger_run(alice_actor, trigger=watermark)
    address = reverse("web:run", args=[run.id])
    page = text(as_alice.get(address))
    assert "Innocent models asked</dt><dd>0 of 57 would be a match" in page
    assert "A match asks for 30, with some of each kind" in page

    run.rule |= {"models": 0, "pool_sha256": ""}
    run.save()
    page = text(as_alice.get(address))
    assert "Innocent models asked</dt><dd>none" in page
    assert "grow the pool</a> before the next run" in page
    run.rule |= {"models": 39, "pool_sha256": "a" * 64}
    run.findings |= {"models": 39}
    run.save()
    run.findings |= {"passed": 2, "void": True}
    run.verdict = "inconclusive"
    run.save()
    page = text(as_alice.get(address))
    assert "2 of 39 would be a match" in page
    assert "The claim is void: by the same triggers" in page


def test_the_page_of_a_run_shows_innocent_models_beside_the_suspect(
    as_alice, alice_actor, watermark
):
    run = factories.finished_trigger_run(alice_actor, trigger=watermark)
    asked(run, [])
    address = reverse("web:run", args=[run.id])
    assert "The suspect among innocent models" not in text(as_alice.get(address))
    asked(run, [0, 1, 1])
    page = text(as_alice.get(address))
    assert "<h2>The suspect among innocent models</h2>" in page
    assert page.count('<figure class="plot"><svg') == 2
    assert "3 innocent models that were asked about the same give 0 to 1" in page


def test_the_rule_stands_on_the_page_before_the_first_question(as_alice, alice_actor, watermark):
    factories.endpoint_suspect(alice_actor)
    page = text(as_alice.get(reverse("web:run-new"), {"protection": watermark.id}))
    assert "At most 32 images, one a request" in page
    assert "The null pool has 0 models to ask the same" in page
    assert "A match asks for 30, with some of each kind" in page
    factories.reference_pool(alice_actor, watermark.source)
    page = text(as_alice.get(reverse("web:run-new"), {"protection": watermark.id}))
    assert "The null pool has 57 models to ask the same" in page
    assert "A match asks for 30" not in page
