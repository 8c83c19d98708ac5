"""The prompt-lock wizard: a spell, what it does to images, and the key for it."""

import json
from typing import Any
from uuid import UUID

from django import forms
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render

from accounts.actors import WRITE, Actor
from protection.models import Trial
from protection.selectors import editor_list, trial_list
from protection.services import MOST_PROMPT_LETTERS, trial_create
from protection.words import READING_WORDS, SPELL_LABEL_WORDS
from spellmark.locks.prompt_lock.parameters import (
    LEAST_STRENGTH,
    SCHEME,
    SPELL,
    PromptLockParameters,
)
from spellmark.locks.prompt_lock.prompts import KNOWN
from spellmark.locks.prompt_lock.public_editor import public_digest
from web.forms import submit
from web.protection import CommitmentForm, DatasetField, committed, usable, version_of
from web.viewer import action, form_page, page


class SpellForm(forms.Form):
    """A spell with its settings, its editor, and the images to try it on."""

    prompt = forms.CharField(
        max_length=MOST_PROMPT_LETTERS,
        # Browsers shall not offer earlier ones.
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "spellcheck": "false", "list": "known-prompts"}
        ),
        label="Spell",
        help_text="Any words. They go into the key file, and sealed to the worker that tries them. "
        "Read as a prompt they should be a style or an object that the editor knows: the field "
        "offers them.",
    )
    reading = forms.ChoiceField(
        choices=[(name, f"{title}: {help_}") for name, (title, help_) in READING_WORDS.items()],
        initial=SPELL,
        widget=forms.RadioSelect,
        label="How it is read",
    )
    editor = forms.ChoiceField(label="Editor")
    dataset = DatasetField(label="Images to try it on")
    alpha = forms.IntegerField(
        min_value=1,
        max_value=100,
        initial=50,
        label="Share of the edit, in percent",
        help_text="How much of the edit is blended into the image.",
    )
    labels = forms.ChoiceField(
        choices=[(name, f"{title}: {help_}") for name, (title, help_) in SPELL_LABEL_WORDS.items()],
        initial="keyed",
        widget=forms.RadioSelect,
        label="Answers",
    )

    def __init__(self, *args: Any, actor: Actor, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        own = editor_list(actor=actor).exclude(digest="")
        self.has_own = bool(own)
        self.fields["editor"].choices = [
            (public_digest(), "Ours, which everybody has"),
            *((row.digest, f"{row.name}, which only your organisation has") for row in own),
        ]


@form_page(WRITE)
def prompt_lock(request: HttpRequest, actor: Actor, name: str, number: int) -> HttpResponse:
    """Step 1: choose a spell, make a key with it, or bring one, and commit to it."""
    version = version_of(actor, name, number)
    form = CommitmentForm(request.POST or None, version=version)
    if done := committed(request, actor, form):
        return done
    context = {
        "version": version,
        "form": form,
        "scheme": SCHEME,
        "trial": SpellForm(actor=actor),
        "known": KNOWN,
        "commitments": usable(version, SCHEME),
        "keygen": "spellmark spell NAME.spellkey",
        "recommended": json.dumps(PromptLockParameters(editor=public_digest()).as_dict()),
    }
    return render(request, "protection/prompt_lock.html", context)


@action(WRITE)
def trials(request: HttpRequest, actor: Actor, name: str, number: int) -> HttpResponse:
    """Try a spell on test images."""
    version = version_of(actor, name, number)
    form = SpellForm(request.POST, actor=actor)
    made = submit(form, start, actor=actor, version=version)
    if made is None:
        return _shown(request, "protection/trial_refused.html", {"form": form})
    return _trial(request, made)


@page(WRITE)
def trial_page(request: HttpRequest, actor: Actor, trial_id: UUID) -> HttpResponse:
    """What became of a trial, so far."""
    row = get_object_or_404(trial_list(actor=actor), id=trial_id)
    return _trial(request, row)


@page(WRITE)
def trial_sheet(request: HttpRequest, actor: Actor, trial_id: UUID) -> HttpResponse:
    """The PNG of a trial; no cache keeps it."""
    row = get_object_or_404(trial_list(actor=actor), id=trial_id)
    if row.sheet is None:
        raise Http404
    headers = {"Cache-Control": "no-store"}
    return HttpResponse(bytes(row.sheet), content_type="image/png", headers=headers)


def start(*, editor: str, reading: str, alpha: int, labels: str, **arguments: Any) -> Trial:
    """The service under the form's field names."""
    parameters = PromptLockParameters(editor=editor, reading=reading, alpha=alpha, labels=labels)
    return trial_create(parameters=parameters, **arguments)


def _trial(request: HttpRequest, row: Trial) -> HttpResponse:
    context = {
        "trial": row,
        "is_spell": row.parameters["reading"] == SPELL,
        "is_enough": row.change is not None and row.change >= LEAST_STRENGTH,
        "least": LEAST_STRENGTH,
    }
    return _shown(request, "protection/trial.html", context)


def _shown(request: HttpRequest, part: str, context: dict[str, Any]) -> HttpResponse:
    """A part of the wizard's page, or a page of its own for browsers without script."""
    if request.htmx:
        return render(request, part, context)
    return render(request, "protection/trial_page.html", {**context, "part": part})
