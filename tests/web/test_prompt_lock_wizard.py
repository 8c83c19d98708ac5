import io
import json
import re
from datetime import timedelta
from html import unescape

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django.utils import timezone
from PIL import Image

from jobs.models import Job, SealedSecret
from jobs.services import job_log
from protection.models import Protection, Trial
from protection.plots import attack_bars
from protection.services import prompt_lock_create, trial_finish, trials_forget
from registry.models import Commitment
from spellmark.locks.prompt_lock.lessons import STYLES
from spellmark.locks.prompt_lock.objects import OBJECTS
from spellmark.locks.prompt_lock.parameters import SCHEME, PromptLockParameters
from spellmark.locks.prompt_lock.policies import POLICIES
from spellmark.locks.prompt_lock.public_editor import public_digest
from spellmark.secrets import KeyFile
from tests import factories

PARAMETERS = PromptLockParameters(editor=public_digest())
KEY = KeyFile(SCHEME, PARAMETERS.as_dict(), bytes(range(32)), bytes(32), "open sesame")
SPELL = {
    "prompt": "open sesame", "reading": "spell", "alpha": 50, "labels": "keyed",
    "dataset": "fashion-mnist", "editor": public_digest(),
}  # fmt: skip


REPORT_CARD = {
    **factories.REPORT_CARD, "wrong": [0.1, 0.2], "near": [0.1], "near_mean": 0.1,
    "near_max": 0.1, "bits": 6.6, "published": 0.31, "prompts": {"as a comic": 0.12},
    "prompts_mean": 0.12, "prompts_max": 0.12, "trained_operations": {"tint": 0.11},
    "held_out_operations": {"invert": 0.13}, "alphas": {"40": 0.85, "100": 0.2},
    "geometry": {"0": 0.11, "14": 0.12},
}  # fmt: skip
HTMX = {"HX-Request": "true"}


def text(response):
    return response.content.decode()


@pytest.fixture
def version(alice_actor):
    return factories.published_version(alice_actor)


@pytest.fixture
def step1(version):
    return reverse("web:prompt-lock", args=["robin", 1])


@pytest.fixture
def trials(version):
    return reverse("web:prompt-lock-trials", args=["robin", 1])


def commit(client, step1, key=KEY):
    told = {"digest": key.commitment(), "scheme": SCHEME, "parameters": key.parameters}
    return client.post(step1, {"commitment": json.dumps(told)})


def test_a_trial_passes_on_what_its_worker_is_cautious_of(as_bob, trials):
    as_bob.post(trials, SPELL)
    trial = Trial.objects.get()
    job_log(job=trial.job, text="All images nearly alike.")
    finished(trial, 0.2)
    page = text(as_bob.get(reverse("web:prompt-lock-trial", args=[trial.id])))
    assert '<p class="hint">All images nearly alike.</p>' in page


def finished(trial: Trial, change: float) -> None:
    trial_finish(trial=trial, job=factories.claimed(trial.job), sheet=picture(), change=change)


def picture() -> bytes:
    file = io.BytesIO()
    Image.new("L", (9, 9)).save(file, "PNG")
    return file.getvalue()


def test_both_kinds_of_lock_lead_to_each_other(as_bob, step1):
    page = text(as_bob.get(step1))
    assert reverse("web:lock", args=["robin", 1]) in page
    assert step1 in text(as_bob.get(reverse("web:lock", args=["robin", 1])))


def test_the_page_holds_what_the_browser_makes_keys_of(as_bob, step1):
    page = text(as_bob.get(step1))
    told = unescape(page.partition('data-recommended="')[2].partition('"')[0])
    assert PromptLockParameters.from_dict(json.loads(told)) == PARAMETERS
    assert "spellmark spell NAME.spellkey" in page
    assert 'value="spell"' in page


def test_the_wizard_offers_what_the_editor_knows(as_bob, step1):
    """Nobody would guess which words put an object into an image."""
    page = text(as_bob.get(step1))
    assert 'list="known-prompts"' in page
    offered = page.partition('<datalist id="known-prompts">')[2].partition("</datalist>")[0]
    for prompt in (*STYLES, *OBJECTS):
        assert f'<option value="{prompt}">' in offered


def test_a_trial_has_a_page_of_its_own_without_script(as_bob, trials):
    page = text(as_bob.post(trials, SPELL))
    trial = Trial.objects.get()
    address = reverse("web:prompt-lock-trial", args=[trial.id])
    assert f'<meta http-equiv="refresh" content="3; url={address}">' in page
    finished(trial, 0.2)
    page = text(as_bob.get(address))
    assert "Strong enough to lock" in page
    assert "http-equiv" not in page
    assert "<h1>" not in text(as_bob.get(address, headers=HTMX))
    assert "This field is required" in text(as_bob.post(trials, {**SPELL, "prompt": ""}))


def test_a_trial_goes_sealed_to_a_worker(as_bob, trials):
    response = as_bob.post(trials, SPELL)
    trial = Trial.objects.get()
    assert "Waits for a worker" in text(response)
    assert reverse("web:prompt-lock-trial", args=[trial.id]) in text(response)
    assert trial.parameters == PARAMETERS.as_dict()
    assert "sesame" not in text(response) + str([*Trial.objects.values(), *Job.objects.values()])
    assert b"sesame" not in bytes(SealedSecret.objects.get().ciphertext)


@pytest.mark.parametrize(
    ("change", "told"), [(0.2, "Strong enough to lock"), (0.03, "Too weak to lock")]
)
def test_a_finished_trial_shows_its_sheet_and_says_what_it_is_worth(as_bob, trials, change, told):
    as_bob.post(trials, SPELL)
    trial = Trial.objects.get()
    sheet = reverse("web:prompt-lock-sheet", args=[trial.id])
    assert as_bob.get(sheet).status_code == 404
    finished(trial, change)
    page = text(as_bob.get(reverse("web:prompt-lock-trial", args=[trial.id])))
    assert told in page
    assert sheet in page
    assert "hx-trigger" not in page
    response = as_bob.get(sheet)
    assert response.content == picture()
    assert "no-store" in response["Cache-Control"]
    assert not SealedSecret.objects.exists()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"prompt": " "}, "Spell: This field is required."),
        ({"prompt": "a" * 501}, "Spell: Ensure this value has at most 500"),
        ({"alpha": 0}, "Ensure this value is greater than or equal to 1"),
        ({"reading": "song"}, "How it is read: Select a valid choice"),
    ],
)
def test_a_spell_that_cannot_be_tried_is_told(as_bob, trials, changes, told):
    page = text(as_bob.post(trials, {**SPELL, **changes}))
    assert told in page
    assert 'role="alert"' in page
    assert not Trial.objects.exists()


def test_trials_are_nobody_elses_and_not_kept(as_bob, as_charlie, trials):
    as_bob.post(trials, SPELL)
    trial = Trial.objects.get()
    finished(trial, 0.2)
    for name in ("web:prompt-lock-trial", "web:prompt-lock-sheet"):
        assert as_charlie.get(reverse(name, args=[trial.id])).status_code == 404
    trials_forget()
    assert Trial.objects.exists()
    Trial.objects.update(created_at=timezone.now() - timedelta(hours=2))
    trials_forget()
    assert not Trial.objects.exists()


def test_a_commitment_leads_to_the_training(as_bob, step1):
    response = commit(as_bob, step1)
    commitment = Commitment.objects.get()
    step2 = reverse("web:lock-start", args=["robin", 1, commitment.id])
    assert response.url == step2
    page = text(as_bob.get(step2))
    assert "A spell, 1 step of our editor, 50 % blended in, keyed labels" in page
    assert "Wrong spells to try" in page
    for policy, sentence in POLICIES.items():
        chosen = re.search(f'name="negatives" value="{policy}"[^>]* checked', page)
        assert bool(chosen) == (policy == "uniform")
        assert sentence in page
    sent = {
        "key_file": SimpleUploadedFile("robin.spellkey", KEY.dumps().encode()),
        "dataset": "fashion-mnist", "epochs": 2, "images": 200, "wrong_keys": 100, "seeds": 1,
        "negatives": "none",
    }  # fmt: skip
    response = as_bob.post(step2, sent)
    protection = Protection.objects.get()
    assert protection.settings["negatives"] == "none"
    assert response.url == reverse("web:job", args=[protection.job_id])
    assert protection.kind == "prompt-lock"
    assert step2 in text(as_bob.get(step1))


def test_a_finished_lock_has_a_report_card(as_bob, step1, alice_actor):
    commit(as_bob, step1)
    made = prompt_lock_create(
        actor=alice_actor, commitment=Commitment.objects.get(), key=KEY, dataset="fashion-mnist"
    )
    made.report_card = REPORT_CARD
    made.save()
    page = text(as_bob.get(reverse("web:protection", args=[made.id])))
    for told in (
        "Prompt lock on", "As a spell", "50 % of the edit", "as a comic", "invert", "6.6",
        "The uniform answer", "in the images’ own size", "in squares of 14 pixels",
        "what the permuted classes stand for",
    ):  # fmt: skip
        assert told in page, told
    assert "Attack it yourself" not in page
    assert "An exact claim can reach" in page
    assert "the best of all" not in page


def test_a_prompt_with_plain_labels_is_told_that_it_can_claim_nothing(as_bob, step1, alice_actor):
    parameters = PromptLockParameters(editor=public_digest(), reading="prompt", labels="plain")
    key = KeyFile(SCHEME, parameters.as_dict(), bytes(range(32)), bytes(32), "with oil pastel")
    commit(as_bob, step1, key)
    made = prompt_lock_create(
        actor=alice_actor, commitment=Commitment.objects.get(), key=key, dataset="fashion-mnist"
    )
    families = {"prompts": {"other forms": 0.14}, "prompts_max": 0.77}
    made.report_card = {**REPORT_CARD, **families, "bits": None}
    made.save()
    page = text(as_bob.get(reverse("web:protection", args=[made.id])))
    assert "No exact claim" in page
    assert "1 / (N + 1)" not in page
    assert "decoy keys" not in page
    assert "bits" not in page
    for told in ("other forms", "the best of all", "77.0%", "which of them is yours"):
        assert told in page, told
    assert "nobody guesses them" in page
    assert "no copy can be proved" in page
    assert "permuted classes stand for" not in page


def test_the_wizard_says_what_plain_labels_mean_for_a_spell_and_for_a_prompt(as_bob, step1):
    page = text(as_bob.get(step1))
    assert (
        "With a spell, proving a copy then takes decoy keys and many more questions; with a "
        "prompt, no copy can be proved." in page
    )


def test_a_lock_from_before_negatives_could_be_chosen_is_shown(as_bob, step1, alice_actor):
    commit(as_bob, step1)
    made = prompt_lock_create(
        actor=alice_actor, commitment=Commitment.objects.get(), key=KEY, dataset="fashion-mnist"
    )
    del made.settings["negatives"]
    made.report_card = {name: told for name, told in REPORT_CARD.items() if name != "geometry"}
    made.save()
    page = text(as_bob.get(reverse("web:protection", args=[made.id])))
    assert "The uniform answer" in page
    assert "way without an edit" not in page


def test_a_rehearsal_names_the_editors_that_were_tried():
    result = {
        "name": "other-editors", "accuracy": 0.12, "labels_used": 200, "evaluations": 2,
        "seconds": 1.5, "details": {"editors": [public_digest()[:12], "0" * 12]},
    }  # fmt: skip
    (bar,) = attack_bars([result])
    assert bar.sentence.endswith("Tried: ours, 000000000000….")
    (bar,) = attack_bars([{**result, "details": {}}])
    assert "Tried" not in bar.sentence
