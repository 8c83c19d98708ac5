"""The red team's page: what became of the claims, in red where one was believed."""

import pytest
from django.urls import reverse

from protection.models import Rehearsal
from spellmark.attacks.forge_claim.catalogue import FORGERIES
from tests import factories

ADDRESS = reverse("web:false-claims", args=["robin", 1])


def text(response):
    return response.content.decode().replace("\xa0", " ")


@pytest.fixture
def version(alice_actor):
    return factories.published_version(alice_actor)


def test_the_version_leads_there_and_a_form_starts_the_job(as_bob, version):
    assert f'href="{ADDRESS}"' in text(as_bob.get(reverse("web:version", args=["robin", 1])))
    page = text(as_bob.get(ADDRESS))
    assert "Nobody has tried it" in page
    assert "47 models and 10,000 ground secrets" in page
    assert all(name.capitalize() in page for name in FORGERIES)
    response = as_bob.post(ADDRESS, {"dataset": "fashion-mnist", "budget": "quick"})
    row = Rehearsal.objects.get()
    assert (row.budget, row.dataset, row.version) == ("quick", "fashion-mnist", version)
    job = reverse("web:job", args=[row.job_id])
    assert response["Location"] == job
    assert f'href="{ADDRESS}"' in text(as_bob.get(job))
    assert "Watch its job" in text(as_bob.get(ADDRESS))
    assert as_bob.post(ADDRESS, {"dataset": "fashion-mnist", "budget": "x"}).status_code == 200
    assert Rehearsal.objects.count() == 1


def test_each_kind_says_what_stopped_it_and_what_a_naive_protocol_believes(
    as_alice, alice_actor, version
):
    row = factories.finished_false_claims(alice_actor, version)
    page = text(as_alice.get(ADDRESS))
    for told in (
        "10,009 false claims were made, and none was believed", "Adversarial images",
        "untargeted, eps 0.2", FORGERIES["seed grinding"], "6 × another root; 3 × spellmark verify",
        "6 of 6", ">10,000</td>", "–</td>",
    ):  # fmt: skip
        assert told in page, told
    assert 'class="error"' not in page
    assert "See what became of the claims" in text(
        as_alice.get(reverse("web:job", args=[row.job_id]))
    )


@pytest.mark.parametrize(("believed", "verb"), [(1, "was"), (2, "were")])
def test_a_claim_that_was_believed_is_told_in_red(as_alice, alice_actor, version, believed, verb):
    factories.finished_false_claims(alice_actor, version, believed=believed)
    page = text(as_alice.get(ADDRESS))
    assert f'<p class="error">{believed} of 10,009 false claims {verb} believed' in page
    assert "none was believed" not in page


def test_a_viewer_reads_and_starts_nothing_and_a_stranger_finds_nothing(
    as_viewer, as_charlie, alice_actor, version
):
    factories.finished_false_claims(alice_actor, version)
    assert "Send the red team" not in text(as_viewer.get(ADDRESS))
    sent = {"dataset": "fashion-mnist", "budget": "quick"}
    assert as_viewer.post(ADDRESS, sent).status_code == 403
    assert as_charlie.get(ADDRESS).status_code == 404
    assert as_charlie.post(ADDRESS, sent).status_code == 404
    assert Rehearsal.objects.count() == 1
