import io
import zipfile

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django.utils.html import escape

from jobs.models import SealedSecret
from jobs.sealing import unseal
from ledger.selectors import trust
from registry import storage
from spellmark.certificates.bundle import Bundle
from spellmark.certificates.verify import verify_files
from spellmark.evidence.fingerprint_rule import FINGERPRINTS
from spellmark.secrets import KeyFile
from tests import factories
from verification.methods import METHODS, limits
from verification.models import Run, Suspect

KEY = factories.KEY
ENDPOINT = {
    "kind": "endpoint",
    "name": "Rival",
    "url": "http://127.0.0.1:9",
    "model": "garments",
    "classes": 10,
    "input_name": "input",
    "datatype": "UINT8",
    "value_range": "0-255",
}


def text(response):
    return response.content.decode()


@pytest.fixture
def protection(alice_actor):
    return factories.finished_protection(alice_actor)


def start(protection, suspect, **changes):
    return {
        "suspect": suspect.id,
        "protection": protection.id,
        "key_file": SimpleUploadedFile("robin.spellkey", KEY.dumps().encode()),
        "method": "random-key-test",
        "alpha": 0.01,
        "decoys": 99,
        "probes": 16,
        "batch": 1000,
        **changes,
    }


def test_it_names_an_endpoint(as_bob, acme):
    response = as_bob.post(reverse("web:suspect-new"), ENDPOINT)
    suspect = Suspect.objects.get()
    assert response["Location"] == f"{reverse('web:run-new')}?suspect={suspect.id}"
    assert suspect.config == {
        "url": "http://127.0.0.1:9",
        "model": "garments",
        "classes": 10,
        "input_name": "input",
        "datatype": "UINT8",
        "value_range": "0-255",
        "output_name": None,
    }


@pytest.mark.parametrize("url", ["http://10.0.0.1/", "http://[fe80::1]/", "http://u:p@127.0.0.1/"])
def test_an_address_that_may_not_be_asked_comes_back_with_the_form(as_bob, acme, url):
    response = as_bob.post(reverse("web:suspect-new"), {**ENDPOINT, "url": url})
    assert response.status_code == 200
    assert 'role="alert"' in text(response)
    assert "Rival" in text(response)
    assert not Suspect.objects.exists()


def test_a_raw_body_becomes_a_suspect(as_bob, acme):
    data = factories.model_file()
    response = as_bob.put(reverse("web:suspect-upload", args=["found"]), data)
    suspect = Suspect.objects.get()
    assert response.status_code == 201
    assert response.json()["next"].endswith(str(suspect.id))
    assert storage.get(suspect.sha256) == data


def test_an_ordinary_form_brings_a_file_too(as_bob, acme):
    file = SimpleUploadedFile("found.safetensors", factories.model_file())
    as_bob.post(reverse("web:suspect-new"), {"kind": "file", "name": "", "file": file})
    assert Suspect.objects.get().name == "found.safetensors"


def test_a_file_that_is_no_model_comes_back_with_the_form(as_bob, acme):
    file = SimpleUploadedFile("found.bin", b"nonsense, but long enough to be looked at")
    response = as_bob.post(reverse("web:suspect-new"), {"kind": "file", "file": file})
    assert 'role="alert"' in text(response)
    assert not Suspect.objects.exists()


def test_a_run_says_first_what_it_needs(as_bob, acme):
    page = text(as_bob.get(reverse("web:run-new")))
    assert reverse("web:suspect-new") in page
    assert "key_file" not in page


def test_it_starts_a_run(as_bob, alice_actor, protection):
    suspect = factories.endpoint_suspect(alice_actor)
    response = as_bob.post(
        reverse("web:run-new"),
        start(protection, suspect, headers="Authorization: Bearer xyzzy\n X-Id:  7 "),
    )
    run = Run.objects.get()
    assert response["Location"] == reverse("web:run", args=[run.id])
    assert (run.rule["alpha"], run.rule["decoys"], run.rule["probes"]) == (0.01, 99, 16)
    sealed = unseal(run.job)
    assert KeyFile.loads(sealed["key"]) == KEY
    assert sealed["headers"] == {"Authorization": "Bearer xyzzy", "X-Id": "7"}


@pytest.mark.parametrize(
    "changes",
    [{"alpha": 0.5}, {"decoys": 19}, {"probes": 1}, {"query_cap": 1}, {"headers": "Bearer xyzzy"}],
)
def test_a_rule_that_cannot_be_comes_back_without_the_secrets(
    as_bob, alice_actor, protection, changes
):
    suspect = factories.endpoint_suspect(alice_actor)
    sent = start(protection, suspect, **{"headers": "Authorization: Bearer xyzzy", **changes})
    response = as_bob.post(reverse("web:run-new"), sent)
    assert response.status_code == 200
    assert "xyzzy" not in text(response)
    assert KEY.secret.hex() not in text(response)
    assert 'class="error"' in text(response) or 'role="alert"' in text(response)
    assert not Run.objects.exists()
    assert not SealedSecret.objects.exists()


def test_nobody_uses_a_protection_of_others(as_charlie, charlie_actor, protection):
    suspect = factories.endpoint_suspect(charlie_actor)
    response = as_charlie.post(reverse("web:run-new"), start(protection, suspect))
    assert "protection" in response.context["form"].errors
    assert not Run.objects.exists()


def test_it_starts_a_run_with_the_methods_defaults(as_bob, alice_actor, protection):
    suspect = factories.endpoint_suspect(alice_actor)
    as_bob.post(reverse("web:run-new"), start(protection, suspect, method="", alpha="", probes=64))
    run = Run.objects.get()
    assert (run.method, run.rule["alpha"], run.rule["decoys"]) == ("keyed-labels", 1e-6, 0)


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ({}, ("Keyed labels.", "2.76 × 10⁻⁷", "1 × 10⁻⁶", "in 64 requests")),
        ({"method": "random-key-test"}, ("Random-key test.", "<strong>0.001</strong>")),
        ({"alpha": "0.01"}, ("Keyed labels.", "p ≤ <strong>0.01</strong>")),
        ({"alpha": "1e-9"}, ("above alpha", "sub-keys")),
        ({"protection": "nonsense"}, ("Choose a protection",)),
        ({"probes": "many"}, ("Choose a protection",)),
    ],
)
def test_the_rule_is_said_before_the_first_question(as_bob, alice_actor, protection, choices, said):
    factories.endpoint_suspect(alice_actor)
    asked = {"protection": protection.id, **choices}
    page = text(as_bob.get(reverse("web:run-new"), asked))
    rule = page.partition('id="rule"')[2].partition("</div>")[0]
    assert all(words in rule for words in said), rule
    # Fingerprints have a page of their own.
    keyed = [method for name, method in METHODS.items() if name not in FINGERPRINTS]
    assert all(escape(method.sentence) in page for method in keyed)


def test_the_rule_of_others_protections_is_not_told(as_charlie, charlie_actor, protection):
    own = factories.finished_protection(charlie_actor, name="wren")
    factories.endpoint_suspect(charlie_actor)
    for asked, told in ((protection, False), (own, True)):
        page = text(as_charlie.get(reverse("web:run-new"), {"protection": asked.id}))
        assert ("The smallest p" in page) == told


def test_keyed_labels_come_with_their_plot_and_floor(as_alice, alice_actor, protection):
    run = factories.finished_run(alice_actor, method="keyed-labels", protection=protection)
    page = text(as_alice.get(reverse("web:run", args=[run.id])))
    assert "The hits in their exact null distribution" in page
    assert "With the labels of 10 classes under 1 sub-key no run can show less." in page
    assert escape(METHODS["keyed-labels"].sentence) in page
    assert all(escape(limit) in page for limit in limits("keyed-labels"))
    assert "decoy keys" not in page.partition("What this does not prove")[0]


@pytest.mark.parametrize("verdict", ["match", "no match", "inconclusive"])
def test_a_verdict_comes_with_its_evidence_class_figures_and_limits(
    as_alice, alice_actor, protection, verdict
):
    run = factories.finished_run(alice_actor, verdict=verdict, protection=protection)
    run.refresh_from_db()
    page = text(as_alice.get(reverse("web:run", args=[run.id])))
    assert f'class="verdict {verdict.replace(" ", "-")}"' in page
    assert "Verified evidence" in page
    assert escape(run.reason) in page
    assert "What this does not prove" in page
    assert all(escape(limit) in page for limit in limits(run.method))
    assert reverse("web:certificate", args=[run.certificate_id]) in page
    assert "The true key among the decoys" in page


def test_a_run_that_broke_off_says_why_and_has_no_certificate(as_alice, alice_actor, protection):
    run = factories.failed_run(alice_actor, protection=protection)
    page = text(as_alice.get(reverse("web:run", args=[run.id])))
    assert "HTTP status 503" in page
    assert "Try again later." in page
    assert reverse("web:run-transcript", args=[run.id]) in page
    assert reverse("web:run-bundle", args=[run.id]) not in page
    assert as_alice.get(reverse("web:run-bundle", args=[run.id])).status_code == 400


def test_a_run_that_waits_is_polled_and_has_no_transcript(as_alice, alice_actor, protection):
    run = factories.queued_run(alice_actor, protection=protection)
    page = text(as_alice.get(reverse("web:run", args=[run.id])))
    assert reverse("web:job-progress", args=[run.job_id]) in page
    assert as_alice.get(reverse("web:run-transcript", args=[run.id])).status_code == 400


def test_a_cancelled_run_stays_on_record(as_alice, alice_actor, protection):
    run = factories.cancelled_run(alice_actor, protection=protection)
    assert "stays on record" in text(as_alice.get(reverse("web:run", args=[run.id])))


def test_the_bundle_passes_the_offline_verifier(as_auditor, world):
    got = as_auditor.get(reverse("web:run-bundle", args=[world.run.id]))
    report = verify_files(Bundle.loads(got.content), trust())
    assert report.passed, report.checks
    transcript = b"".join(as_auditor.get(reverse("web:run-transcript", args=[world.run.id])))
    with zipfile.ZipFile(io.BytesIO(got.content)) as archive:
        assert archive.read("transcript.jsonl") == transcript


@pytest.mark.parametrize(("verdict", "told"), [
    ("match", ["as a copy made from your guarded API", "The run ended there", "Dynamic watermark"]),
    ("no match", ["do not lean as your key says", "It was not reached"]),
    ("inconclusive", ["no label, so a copy made from labels carries no mark"]),
])  # fmt: skip
def test_a_guards_run_shows_how_its_evidence_grew(as_alice, alice_actor, verdict, told):
    run = factories.finished_mark_run(alice_actor, verdict=verdict)
    page = text(as_alice.get(reverse("web:run", args=[run.id])))
    for words in (*told, "Evidence, answer by answer", "One image each, as it is"):
        assert words in page, words
    assert "decoy key" not in page.partition("What this does not prove")[0]
    assert "locked model" not in page


def test_a_guard_can_be_chosen_and_says_its_rule(as_bob, alice_actor):
    guard = factories.finished_guard(alice_actor)
    factories.endpoint_suspect(alice_actor)
    page = text(as_bob.get(reverse("web:run-new"), {"protection": guard.id}))
    rule = page.partition('id="rule"')[2].partition("</div>")[0]
    assert "Dynamic watermark." in rule
    assert "At most 256 images, one a request, until enough is known." in rule
    assert "guard on robin v1" in page
