"""The wizard of external features, and the page of one: what it costs and what it shows."""

from typing import Any
from uuid import UUID

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from accounts.actors import READ, WRITE, Actor
from protection import feature_options, words
from protection.features import (
    LEAST_IMAGES,
    MOST_EPOCHS,
    MOST_IMAGES,
    USUAL_EPOCHS,
    USUAL_IMAGES,
    feature_create,
    feature_parameters,
    is_taught,
)
from protection.models import Protection
from protection.selectors import feature_list
from registry.models import Version
from registry.selectors import commitment_list
from spellmark.errors import SpellmarkError
from spellmark.evidence.null_pool import count_kinds
from spellmark.watermarks.external_feature.parameters import SCHEME
from spellmark.watermarks.external_feature.settings import LEAST_SHARE, MOST_SHARE, USUAL_SHARE
from verification.features import feature_pool
from web.forms import KeyFileField, submit
from web.jobs import progress
from web.plots import feature_bars
from web.protection import CommitmentForm, DatasetField, committed, usable, version_of
from web.viewer import form_page, page


class FeatureCommitmentForm(CommitmentForm):
    """A commitment that fits an external feature."""

    parameters_of = staticmethod(feature_parameters)


class FeatureForm(forms.Form):
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
    share = forms.IntegerField(
        min_value=LEAST_SHARE,
        max_value=MOST_SHARE,
        initial=USUAL_SHARE,
        label="Percent of the images that are restyled",
        help_text="Their labels stay. More of them are remembered longer, and cost more accuracy.",
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
        help_text="A model that did not learn the style, or lost too much, is refused.",
    )


@form_page(WRITE)
def feature(request: HttpRequest, actor: Actor, name: str, number: int) -> HttpResponse:
    """Step 1: choose the style's strength, make a key for it, or bring one, and commit to it."""
    version = version_of(actor, name, number)
    form = FeatureCommitmentForm(request.POST or None, version=version)
    if done := committed(request, actor, form, go_on="web:feature-start"):
        return done
    context = {
        "version": version,
        "form": form,
        "scheme": SCHEME,
        "commitments": [
            one for one in usable(version, SCHEME, feature_parameters) if not is_taught(one[0])
        ],
        **_chosen(request, version),
    }
    return render(request, "protection/feature.html", context)


@form_page(WRITE)
def feature_start(
    request: HttpRequest, actor: Actor, name: str, number: int, commitment_id: UUID
) -> HttpResponse:
    """Step 2: choose the images, hand in the key, start."""
    version = version_of(actor, name, number)
    commitment = get_object_or_404(
        commitment_list(actor=actor).filter(version=version), id=commitment_id
    )
    form = FeatureForm(request.POST or None, request.FILES or None)
    if request.POST and (made := submit(form, start, actor=actor, commitment=commitment)):
        return redirect("web:job", job_id=made.job_id)
    context = {
        "version": version,
        "commitment": commitment,
        "form": form,
        "in_short": words.in_short(feature_parameters(version, commitment)),
    }
    return render(request, "protection/feature_start.html", context)


@page(READ)
def feature_page(request: HttpRequest, actor: Actor, protection_id: UUID) -> HttpResponse:
    """An external feature: what it costs, how well it is borne, which pool stands against it."""
    row = get_object_or_404(feature_list(actor=actor), id=protection_id)
    return render(request, "protection/feature_page.html", _shown(row))


def start(*, key_file: Any, **arguments: Any) -> Protection:
    """The service under the form's field names."""
    return feature_create(key=key_file, **arguments)


def _chosen(request: HttpRequest, version: Version) -> dict[str, Any]:
    """The options as the query chooses them, or as recommended where it does not make sense."""
    if version.card is None:
        return {}
    try:
        best = parameters = feature_options.best_for(version.card)
    except SpellmarkError as error:
        return {"no_mark": error}
    problem = None
    try:
        parameters = feature_options.read(request.GET.dict(), best)
    except SpellmarkError as error:
        problem = error
    return {
        "options": feature_options.options(parameters),
        "fixed": {
            name: value
            for name, value in parameters.as_dict().items()
            if name not in feature_options.CHOSEN
        },
        "problem": problem,
        "is_recommended": parameters == best,
        "in_short": words.in_short(parameters),
        "keygen": feature_options.keygen_command(parameters),
    }


def _shown(row: Protection) -> dict[str, Any]:
    """What protection/feature_page.html shows."""
    parameters = feature_parameters(row.source, row.commitment)
    context = {
        **progress(row.job),
        "protection": row,
        "in_short": words.in_short(parameters),
        "words": words.describe(parameters, {}),
    }
    if row.report_card:
        lost = row.report_card["accuracy_before"] - row.report_card["accuracy_after"]
        context |= {
            "bars": feature_bars(row.report_card),
            "lost": f"{100 * lost:.1f}",
            "kinds": count_kinds(feature_pool(row)).items(),
        }
    return context
