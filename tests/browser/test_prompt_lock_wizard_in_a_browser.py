"""The wizard of prompt locks: a spell is tried, kept in a key file, and never sent with it."""

from dataclasses import replace

import pytest

import tasks
from protection.models import Trial
from registry.models import Commitment
from spellmark.locks.prompt_lock.parameters import SCHEME, PromptLockParameters
from spellmark.locks.prompt_lock.public_editor import public_digest
from spellmark.secrets import KeyFile
from tasks import work
from tests import factories
from tests.browser.test_dashboard_in_a_browser import leaks
from tests.browser.visitor import Visitor, bodies

pytestmark = pytest.mark.browser

SPELL = "öffne dich, Sésame 𝄞"


@pytest.fixture
def step1(alice_visits: Visitor, alice_actor, monkeypatch, settings) -> Visitor:
    monkeypatch.setattr(factories, "CARD", replace(factories.CARD, height=28, width=28))
    # The heartbeat would write from a thread of its own while the test's database is emptied.
    monkeypatch.setattr(work, "BEAT_SECONDS", 3600)
    settings.JOB_LEASE_SECONDS = 3600
    factories.published_version(alice_actor)
    alice_visits.go("/models/robin/versions/1/lock")
    alice_visits.page.get_by_role("link", name="Prompt lock").click()
    alice_visits.page.get_by_label("Spell", exact=True).fill(SPELL)
    return alice_visits


def _try(visitor: Visitor) -> None:
    """Try the spell, and be the worker."""
    before = Trial.objects.count()
    visitor.page.get_by_label("Images to try it on").select_option("fashion-mnist")
    visitor.press("Try it on images")
    visitor.sees("Waits for a worker")
    assert Trial.objects.count() == before + 1
    tasks.run_job(str(Trial.objects.first().job_id))


@pytest.mark.slow
def test_a_spell_is_tried_and_committed_to(step1: Visitor):
    _try(step1)
    step1.sees("Strong enough to lock")
    picture = step1.page.locator("#trial img")
    drawn = "(image) => image.complete && image.naturalWidth > 500"
    step1.page.wait_for_function(drawn, arg=picture.element_handle())

    sent = bodies(step1.page)
    step1.page.get_by_text("More settings").click()
    step1.page.get_by_label("Share of the edit").fill("40")
    path = step1.make_key()
    step1.commit()
    key = KeyFile.load(path)
    assert path.read_text() == key.dumps()
    assert (key.scheme, key.prompt) == (SCHEME, SPELL)
    chosen = PromptLockParameters(editor=public_digest(), alpha=40)
    assert key.parameters == chosen.as_dict()
    commitment = Commitment.objects.get()
    assert (commitment.digest, commitment.parameters) == (key.commitment(), chosen.as_dict())
    # Neither the key nor the spell left the browser with the commitment.
    assert not leaks(sent, key)
    assert not any("dich" in body.decode("latin-1") for body in sent)
    step1.sees("A spell, 1 step of our editor")


def test_an_own_editor_goes_into_the_key(step1: Visitor, alice_actor):
    editor = factories.own_editor(alice_actor)
    step1.page.reload()
    step1.page.get_by_label("Spell", exact=True).fill(SPELL)
    step1.page.get_by_label("Editor", exact=True).select_option(editor.digest)
    path = step1.make_key()
    step1.commit()
    assert KeyFile.load(path).parameters == PromptLockParameters(editor=editor.digest).as_dict()
    step1.sees("an editor of its own")


@pytest.mark.slow
def test_a_prompt_that_is_too_weak_makes_no_key(step1: Visitor):
    step1.page.get_by_label("Spell", exact=True).fill("with stronger colours")
    step1.page.get_by_label("As a prompt").check()
    _try(step1)
    step1.sees("Too weak to lock")
    step1.press("Make the key and save it")
    step1.sees("this one is too weak to lock")


def test_a_spell_without_words_is_told_in_place(step1: Visitor):
    step1.page.get_by_label("Spell", exact=True).fill("   ")
    step1.page.get_by_label("Images to try it on").select_option("fashion-mnist")
    step1.press("Try it on images")
    step1.sees("Spell: This field is required.")
    step1.press("Make the key and save it")
    step1.sees("Type a spell first.")
