"""The wizard of trigger watermarks, and the page of one: what it costs, what survives, the log."""

from typing import Any
from uuid import UUID

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from accounts.actors import READ, WRITE, Actor
from protection import trigger_options, words
from protection.models import Protection
from protection.plots import removals
from protection.selectors import rehearsal_list, trigger_list
from protection.triggers import (
    LEAST_IMAGES,
    MOST_EPOCHS,
    MOST_IMAGES,
    USUAL_EPOCHS,
    USUAL_IMAGES,
    is_marking,
    trigger_create,
    trigger_parameters,
)
from registry.models import Version
from registry.selectors import commitment_list
from spellmark.errors import SpellmarkError
from spellmark.watermarks.trigger import SCHEME
from verification.triggers import used_triggers
from web.forms import KeyFileField, submit
from web.jobs import progress
from web.plots import trigger_bars
from web.protection import (
    AttackForm,
    CommitmentForm,
    DatasetField,
    attack,
    committed,
    usable,
    version_of,
)
from web.viewer import form_page


class TriggerCommitmentForm(CommitmentForm):
    """A commitment that fits a trigger watermark."""

    parameters_of = staticmethod(trigger_parameters)


class TriggerForm(forms.Form):
    """What the training needs; all but the key has a default."""

    key_file = KeyFileField(
        label="Key file",
        help_text="The .spellkey that was saved in step 1. It is sealed for this one job and "
        "erased when the job ends.",
    )
    dataset = DatasetField(
        label="Training images",
        help_text="Those that the model was trained on, or images like them. Its test images make "
        "the report card.",
    )
    images = forms.IntegerField(
        min_value=LEAST_IMAGES,
        max_value=MOST_IMAGES,
        initial=USUAL_IMAGES,
        label="Images to train on",
        help_text="More images keep more of the accuracy and take longer.",
    )
    epochs = forms.IntegerField(
        min_value=1,
        max_value=MOST_EPOCHS,
        initial=USUAL_EPOCHS,
        label="Rounds of training",
        help_text="More rounds make a mark that survives more. One that did not take is refused.",
    )


class RemovalForm(AttackForm):
    """Which removals to try on one's own watermark, and how hard."""

    key_file = KeyFileField(
        label="Key file",
        help_text="The .spellkey of this watermark. The thief never sees it: it tells the copies. "
        "Sealed for this one job, then erased.",
    )
    dataset = DatasetField(
        label="The thief's images",
        help_text="The second half of its training images is what the thief has; its test images "
        "are what accuracy is measured on.",
    )


@form_page(WRITE)
def trigger(request: HttpRequest, actor: Actor, name: str, number: int) -> HttpResponse:
    """Step 1: choose the reserve, make a key for it, or bring one, and commit to it."""
    version = version_of(actor, name, number)
    form = TriggerCommitmentForm(request.POST or None, version=version)
    if done := committed(request, actor, form, go_on="web:trigger-start"):
        return done
    context = {
        "version": version,
        "form": form,
        "scheme": SCHEME,
        "commitments": [
            one for one in usable(version, SCHEME, trigger_parameters) if not is_marking(one[0])
        ],
        **_chosen(request, version),
    }
    return render(request, "protection/trigger.html", context)


@form_page(WRITE)
def trigger_start(
    request: HttpRequest, actor: Actor, name: str, number: int, commitment_id: UUID
) -> HttpResponse:
    """Step 2: choose the images, hand in the key, start."""
    version = version_of(actor, name, number)
    commitment = get_object_or_404(
        commitment_list(actor=actor).filter(version=version), id=commitment_id
    )
    form = TriggerForm(request.POST or None, request.FILES or None)
    if request.POST and (made := submit(form, start, actor=actor, commitment=commitment)):
        return redirect("web:job", job_id=made.job_id)
    context = {
        "version": version,
        "commitment": commitment,
        "form": form,
        "in_short": words.in_short(trigger_parameters(version, commitment)),
    }
    return render(request, "protection/trigger_start.html", context)


@form_page(READ)
def trigger_page(request: HttpRequest, actor: Actor, protection_id: UUID) -> HttpResponse:
    """A trigger watermark: what it costs, what is left of the reserve, what removals reach."""
    row = get_object_or_404(trigger_list(actor=actor), id=protection_id)
    if request.method == "POST":
        actor.require(WRITE)
    form = RemovalForm(
        request.POST or None, request.FILES or None, kind=row.kind, initial={"dataset": row.dataset}
    )
    if request.POST and (made := submit(form, attack, actor=actor, protection=row)):
        return redirect("web:job", job_id=made.job_id)
    return render(request, "protection/trigger_page.html", _shown(actor, row, form))


def start(*, key_file: Any, **arguments: Any) -> Protection:
    """The service under the form's field names."""
    return trigger_create(key=key_file, **arguments)


def _chosen(request: HttpRequest, version: Version) -> dict[str, Any]:
    """The options as the query chooses them, or as recommended where it does not make sense."""
    if version.card is None:
        return {}
    try:
        best = parameters = trigger_options.best_for(version.card)
    except SpellmarkError as error:
        return {"no_mark": error}
    problem, promise = None, ""
    try:
        parameters = trigger_options.read(request.GET.dict(), best)
        promise = trigger_options.promise(parameters)
    except SpellmarkError as error:
        problem = error
    return {
        "options": trigger_options.options(parameters),
        "fixed": {
            name: value
            for name, value in parameters.as_dict().items()
            if name not in trigger_options.CHOSEN
        },
        "problem": problem,
        "promise": promise,
        "is_recommended": parameters == best,
        "in_short": words.in_short(parameters),
        "keygen": trigger_options.keygen_command(parameters),
    }


def _shown(actor: Actor, row: Protection, form: RemovalForm) -> dict[str, Any]:
    """What protection/trigger_page.html shows."""
    parameters = trigger_parameters(row.source, row.commitment)
    used = len(used_triggers(row.commitment))
    context = {
        **progress(row.job),
        "protection": row,
        "in_short": words.in_short(parameters),
        "words": words.describe(parameters, {}),
        "used": used,
        "left": parameters.triggers - used,
        "form": form,
        "rehearsals": [
            (one, removals(one.results or []))
            for one in rehearsal_list(actor=actor).filter(protection=row)
        ],
    }
    if row.report_card:
        context["bars"] = trigger_bars(row.report_card)
        lost = row.report_card["accuracy_before"] - row.report_card["accuracy_after"]
        context["lost"] = f"{100 * lost:.1f}"
    return context
