"""The wizard of external features, the page of one, and the page of a run against it."""

import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from jobs.models import Job, SealedSecret
from protection.errors import ProtectionError
from protection.models import Protection
from protection.services import attacks_create
from registry.models import Commitment
from tests import factories
from verification.models import Run

KEY = factories.FEATURE_KEY
STEP_1 = reverse("web:feature", args=["robin", 1])
PATENTS = ("US 2024/0135211", "WO 2023/093346")


def text(response):
    return response.content.decode().replace("\xa0", " ")


def upload(key=KEY) -> SimpleUploadedFile:
    return SimpleUploadedFile("robin.spellkey", key.dumps().encode())


def commitment_of(key=KEY):
    told = {"digest": key.commitment(), "scheme": key.scheme, "parameters": dict(key.parameters)}
    return {"commitment": json.dumps(told)}


@pytest.fixture
def version(alice_actor):
    return factories.published_version(alice_actor)


@pytest.fixture
def feature(alice_actor, version) -> Protection:
    return factories.finished_feature(alice_actor, version=version)


def test_the_version_leads_to_the_wizard(as_bob, version):
    page = text(as_bob.get(reverse("web:version", args=["robin", 1])))
    assert f'href="{STEP_1}"' in page
    assert f'href="{STEP_1}"' in text(as_bob.get(reverse("web:lock", args=["robin", 1])))


def test_the_wizard_tells_what_a_style_is_worth_and_names_the_patent(as_bob, version):
    page = text(as_bob.get(STEP_1))
    for told in (
        "Recommended:", "a style of 50 %, 7 × 7 cells, 6 waves", "indicative", *PATENTS,
        'data-height="8"', "--scheme external-feature --classes 10",
        reverse("web:references"),
    ):  # fmt: skip
        assert told in page, told
    page = text(as_bob.get(STEP_1, {"strength": 70, "waves": 1}))
    assert "Chosen:" in page and "a style of 70 %" in page and "1 wave" in page
    assert "--strength 70" in page
    assert "a whole number from 10 to 90" in text(as_bob.get(STEP_1, {"strength": "much"}))
    assert "at most a side of the images, 8" in text(as_bob.get(STEP_1, {"grid": 9}))


def test_a_key_is_committed_and_the_job_starts(as_bob, version):
    page = as_bob.post(STEP_1, commitment_of(), follow=True)
    commitment = Commitment.objects.get()
    assert (commitment.digest, commitment.parameters) == (KEY.commitment(), KEY.parameters)
    address = reverse("web:feature-start", args=["robin", 1, commitment.id])
    assert page.redirect_chain[-1][0] == address
    sent = {
        "key_file": upload(), "dataset": "fashion-mnist", "images": 500, "epochs": 2, "share": 10,
    }  # fmt: skip
    assert "equal to 30" in text(as_bob.post(address, {**sent, "share": 31}))
    response = as_bob.post(address, {**sent, "key_file": upload()})
    row = Protection.objects.get()
    assert response["Location"] == reverse("web:job", args=[row.job_id])
    assert row.kind == "external-feature"
    assert row.settings == {"images": 500, "epochs": 2, "share": 10}
    assert KEY.secret not in bytes(SealedSecret.objects.get().ciphertext)
    assert KEY.secret.hex() not in str([*Protection.objects.values(), *Job.objects.values()])
    again = text(as_bob.post(address, {**sent, "key_file": upload()}))
    assert "the style of this key already" in again
    assert "External feature" in text(as_bob.get(reverse("web:version", args=["robin", 1])))
    assert "Teaches a style to" in text(as_bob.get(reverse("web:job", args=[row.job_id])))


def test_a_key_for_another_model_is_refused_before_it_is_registered(as_bob, version):
    other = factories.feature_key(height=9)
    assert "Make a key for this version" in text(as_bob.post(STEP_1, commitment_of(other)))
    triggers = factories.TRIGGER_KEY
    assert "which is no external feature" in text(as_bob.post(STEP_1, commitment_of(triggers)))
    assert not Commitment.objects.exists()


def test_the_page_shows_cost_scores_pool_and_patent(as_alice, alice_actor, feature):
    factories.reference_pool(alice_actor, feature.source, of_a_kind=2)
    page = text(as_alice.get(reverse("web:feature-page", args=[feature.id])))
    for told in (
        "0.3 points of accuracy", "-2.31", "-0.12", "2 of same data and architecture", *PATENTS,
        "87.1%", "on 20 % of 6000 images",
    ):  # fmt: skip
        assert told in page, told
    assert as_alice.get(reverse("web:protection", args=[feature.id])).status_code == 302
    assert as_alice.get(reverse("web:unlock", args=[feature.id])).status_code == 404
    page = text(as_alice.get(reverse("web:version", args=["robin", 2])))
    assert "in the style on 87.1%" in page


def test_nothing_is_rehearsed_on_it(alice_actor, feature):
    with pytest.raises(ProtectionError, match="no attacks to rehearse"):
        attacks_create(actor=alice_actor, protection=feature, key=KEY, dataset="fashion-mnist")


def test_the_rule_stands_on_the_page_and_a_run_needs_a_pool(as_alice, alice_actor, feature):
    suspect = factories.endpoint_suspect(alice_actor)
    sent = {"suspect": suspect.id, "protection": feature.id, "batch": 1000, "decoys": 999}
    page = text(as_alice.get(reverse("web:run-new"), {"protection": feature.id}))
    assert (
        "holds 0 models of a kind that the platform trained, and this rule needs 19 of each" in page
    )
    # References of the version before count.
    factories.reference_pool(alice_actor, feature.source)
    page = text(as_alice.get(reverse("web:run-new"), {"protection": feature.id}))
    for told in ("100 images, each as it is", "innocent models", "p ≤ <strong>0.05</strong>"):
        assert told in page, told
    page = text(
        as_alice.get(
            reverse("web:run-new"),
            {"protection": feature.id, "method": "external-feature-gradients"},
        )
    )
    assert "No questions" in page
    refused = sent | {"method": "external-feature-gradients", "key_file": upload()}
    page = text(as_alice.post(reverse("web:run-new"), refused))
    assert "whose gradients nobody sees" in page
    response = as_alice.post(reverse("web:run-new"), sent | {"key_file": upload()})
    run = Run.objects.get()
    assert response["Location"] == reverse("web:run", args=[run.id])
    assert (run.evidence_class, len(run.pool), run.batch) == ("indicative", 57, 1)


@pytest.mark.parametrize(
    ("verdict", "told"),
    [
        ("match", "bears your secret style as innocent models do not"),
        ("no match", "Innocent models bear your style as well"),
        ("inconclusive", "bears styles in general"),
    ],
)
def test_the_page_of_a_run_says_what_was_found(as_alice, alice_actor, feature, verdict, told):
    run = factories.finished_feature_run(alice_actor, verdict=verdict, feature=feature)
    page = text(as_alice.get(reverse("web:run", args=[run.id])))
    for words in (
        told, "Indicative evidence", "In a wrong style", "The suspect among innocent models",
        "external feature on", "version that learnt the style", "Take advice before", *PATENTS,
    ):  # fmt: skip
        assert words in page, words
    assert "Verified evidence" not in page


def test_the_page_of_a_file_says_what_its_gradients_show(as_alice, alice_actor, feature):
    suspect = factories.file_suspect(alice_actor)
    run = factories.finished_feature_run(alice_actor, feature=feature, suspect=suspect)
    page = text(as_alice.get(reverse("web:run", args=[run.id])))
    for words in (
        "leans as your model does at images in your style", "in a wrong style as well",
        "External feature, by gradients", "0 sent, 0 answered",
    ):  # fmt: skip
        assert words in page, words
