"""The null pool's pages, and runs by fingerprint on the dashboard."""

import re

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from jobs.models import Job
from tests import factories
from tests.verification.test_fingerprints import file_suspect
from verification.models import Reference, Run

DATA = "fashion-mnist"


@pytest.fixture
def version(alice_actor):
    return factories.published_version(alice_actor, name="wren")


def test_a_pool_is_grown_and_listed(as_alice, alice_actor, version):
    page = as_alice.get(reverse("web:references")).content.decode()
    assert "There are none yet" in page
    response = as_alice.post(
        reverse("web:reference-new"),
        {"kind_of_form": "grow", "version": version.id, "dataset": DATA, "of_a_kind": 2,
         "epochs": 1},
    )  # fmt: skip
    job = Job.objects.get(kind="null-pool")
    assert response["Location"] == reverse("web:job", args=[job.id])
    factories.reference_pool(alice_actor, version, of_a_kind=2)
    page = as_alice.get(reverse("web:references")).content.decode()
    assert "small-cnn, other data, no. 1" in page
    assert "2 trained here" in page


def test_the_page_that_asks_for_a_larger_pool_leads_to_its_version(as_alice, alice_actor, version):
    factories.published_version(alice_actor, name="robin")
    suspect = factories.endpoint_suspect(alice_actor)
    choices = {"suspect": suspect.id, "version": version.id, "dataset": DATA, "method": "agreement"}
    page = as_alice.get(reverse("web:fingerprint-new"), choices).content.decode()
    address = f"{reverse('web:reference-new')}?version={version.id}"
    assert f'href="{address}"' in page
    for kind in ("grow", "upload"):
        page = as_alice.get(f"{address}&kind={kind}").content.decode()
        assert re.findall(r'<option value="([^"]+)" selected', page) == [str(version.id)]
        assert f"?kind=upload&amp;version={version.id}" in page


@pytest.mark.parametrize("version", ["", "no-version", "3f2b8f3e-9d6b-4c6e-8d3a-6a1f7c0b2d11"])
def test_a_version_that_is_not_there_is_not_chosen(as_alice, alice_actor, version):
    factories.published_version(alice_actor, name="robin")
    page = as_alice.get(reverse("web:reference-new"), {"version": version})
    assert page.status_code == 200
    chosen = re.findall(r'<option value="([^"]*)" selected', page.content.decode())
    assert not any(chosen)


def test_a_model_is_brought_and_downloaded(as_alice, version):
    body = factories.model_file(description="brought")
    response = as_alice.post(
        reverse("web:reference-new"),
        {"kind_of_form": "upload", "name": "elder", "kind": "same data", "dataset": DATA,
         "version": "", "file": SimpleUploadedFile("elder.safetensors", body)},
    )  # fmt: skip
    assert response["Location"] == reverse("web:references")
    row = Reference.objects.get()
    assert (row.name, row.source, row.version) == ("elder", "uploaded", None)
    file = as_alice.get(reverse("web:reference-file", args=[row.id]))
    assert b"".join(file) == body


def test_the_rule_is_shown_before_the_start_and_a_run_started(as_alice, alice_actor, version):
    suspect = factories.endpoint_suspect(alice_actor)
    choices = {"suspect": suspect.id, "version": version.id, "dataset": DATA, "method": "agreement"}
    page = as_alice.get(reverse("web:fingerprint-new"), choices).content.decode()
    assert "holds 0 models of a kind that" in page
    assert reverse("web:reference-new") in page
    factories.queued_fingerprint_run(alice_actor, version=version)
    page = as_alice.get(reverse("web:fingerprint-new"), choices).content.decode()
    assert "19 of same data and architecture" in page
    response = as_alice.post(
        reverse("web:fingerprint-new"), choices | {"variant": "jpeg", "kernel": "rbf"}
    )
    run = Run.objects.order_by("-created_at").first()
    assert response["Location"] == reverse("web:run", args=[run.id])
    # They count for the correlation alone.
    assert (run.rule["variant"], run.rule["kernel"]) == ("wrong", "cosine")
    assert "Compared with" in as_alice.get(response["Location"]).content.decode()


def shown(as_alice, run):
    pages = as_alice.get(reverse("web:runs")).content.decode()
    assert f"{run.method} with wren v1" in pages
    return as_alice.get(reverse("web:run", args=[run.id])).content.decode()


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        ("match", "it does not prove one"),
        ("no match", "does not prove that the suspect is independent"),
        ("inconclusive", "What to try next"),
    ],
)
def test_a_run_page_says_what_its_evidence_is_worth(as_alice, alice_actor, verdict, words):
    run = factories.finished_fingerprint_run(alice_actor, verdict=verdict, probes=20)
    page = shown(as_alice, run)
    assert words in page
    assert "Indicative evidence." in page
    assert "never proof by itself" in page
    assert "The suspect among innocent models" in page
    assert "<svg" in page
    assert "0 of 27" in page


def test_a_void_claim_is_called_void(as_alice, alice_actor):
    run = factories.finished_fingerprint_run(alice_actor, void=True, probes=20)
    assert "The claim is void" in shown(as_alice, run)


def test_weights_are_shown_layer_by_layer(as_alice, alice_actor, version):
    for _ in range(2):
        factories.reference_pool(alice_actor, version)
    run = factories.finished_fingerprint_run(
        alice_actor, version=version, suspect=file_suspect(alice_actor)
    )
    page = shown(as_alice, run)
    assert "Layer by layer" in page
    assert "fine-tuned" in page
    assert "head.weight" in page
    assert "Probe images" not in page
