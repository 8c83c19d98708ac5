"""The guard wizard, and the page of a guard: what it costs, its time, its clients, its download."""

import json
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from accounts.actors import READ, WRITE, Actor
from protection import guard_options, words
from protection.guards import (
    LEAST_IMAGES,
    MOST_IMAGES,
    MOST_OVERLAP_DAYS,
    USUAL_IMAGES,
    USUAL_OVERLAP_DAYS,
    client_add,
    client_end,
    configuration_name,
    guard_configuration,
    guard_create,
    guard_parameters,
    guard_rotate,
    is_guarding,
    public_configuration,
)
from protection.models import GuardClient, Protection
from protection.plots import thefts
from protection.selectors import client_list, guard_list, rehearsal_list
from registry.models import Version
from registry.selectors import commitment_list
from spellmark.errors import SpellmarkError
from spellmark.watermarks.dynamic import SCHEME, GuardFile
from spellmark.watermarks.dynamic.guard_file import MOST_DECIMALS
from spellmark.watermarks.dynamic.parameters import recommended
from web.forms import KeyFileField, submit
from web.jobs import progress
from web.plots import guard_bars
from web.protection import (
    AttackForm,
    CommitmentForm,
    DatasetField,
    attack,
    committed,
    usable,
    version_of,
)
from web.viewer import action, form_page


class GuardCommitmentForm(CommitmentForm):
    """A commitment that fits a guard."""

    parameters_of = staticmethod(guard_parameters)


class RotationForm(forms.Form):
    """A new key in the place of an old one; how answers are shortened stays as it was."""

    key_file = KeyFileField(
        label="Key file",
        help_text="The .spellkey that was saved in step 1. It is sealed for this one job and "
        "erased when the job ends.",
    )
    dataset = DatasetField(
        label="Images to measure on",
        help_text="Those that the model was trained on, or images like them. Its test images "
        "make the report card.",
    )
    overlap_days = forms.IntegerField(
        min_value=1,
        max_value=MOST_OVERLAP_DAYS,
        initial=USUAL_OVERLAP_DAYS,
        label="Days until the old key ends",
        help_text="Counted from when the new one is measured. Both serve meanwhile, so that no "
        "server is without a key.",
    )
    images = forms.IntegerField(
        min_value=LEAST_IMAGES,
        max_value=MOST_IMAGES,
        initial=USUAL_IMAGES,
        label="Images to learn from",
        help_text="Of the training images. Two small networks are copied from the model's unmarked "
        "answers to them, to compare suspects with; and the cells are cut by them.",
    )


class GuardForm(RotationForm):
    """What the measuring needs; all but the key has a default."""

    overlap_days = None
    decimals = forms.IntegerField(
        min_value=1,
        max_value=MOST_DECIMALS,
        required=False,
        label="Decimals of the answers",
        help_text="If your API rounds its probabilities. The guard rounds after marking, so that "
        "rounding moves no label.",
    )
    top_k = forms.IntegerField(
        min_value=1,
        required=False,
        label="Classes in an answer",
        help_text="If your API answers with the likeliest few only.",
    )


class ClientForm(forms.Form):
    """A client of the API, who gets answers under key bits of their own."""

    name = forms.CharField(
        max_length=100,
        help_text="As your server knows them, such as shop-17. It stands in the log for everybody: "
        "no name and no address of a person.",
    )
    key_file = KeyFileField(
        label="Key file",
        help_text="The .spellkey of this guard. It is opened for the commitment and not kept.",
    )


class ConfigurationForm(forms.Form):
    """The key that goes into the configuration."""

    key_file = KeyFileField(
        label="Key file",
        help_text="The .spellkey of this guard. It goes into the file and is not kept here.",
    )


class TheftForm(AttackForm):
    """Which thefts to try on one's own API, and how hard."""

    key_file = KeyFileField(
        label="Key file",
        help_text="The .spellkey of this guard. The thief never sees it: it marks the answers that "
        "he gets, and tells the copies. Sealed for this one job, then erased.",
    )
    dataset = DatasetField(
        label="The thief's images",
        help_text="The second half of its training images is what the thief asks about; its test "
        "images are what copies are measured and tested on.",
    )
    other_dataset = DatasetField(
        nothing="made: collages, blends and noise",
        label="Other images",
        help_text="A thief without images like yours asks about these: any other data set, of any "
        "size. For “Other images” among the thefts.",
    )


@form_page(WRITE)
def guard(request: HttpRequest, actor: Actor, name: str, number: int) -> HttpResponse:
    """Step 1: choose the mark, make a key for it, or bring one, and commit to it."""
    version = version_of(actor, name, number)
    replaced = _replaced(request, actor, version)
    query = f"?replaces={replaced.id}" if replaced else ""
    form = GuardCommitmentForm(request.POST or None, version=version)
    if done := committed(request, actor, form, go_on="web:guard-start", query=query):
        return done
    context = {
        "version": version,
        "form": form,
        "scheme": SCHEME,
        "commitments": [
            one for one in usable(version, SCHEME, guard_parameters) if not is_guarding(one[0])
        ],
        "replaced": replaced,
        "query": query,
        **_chosen(request, version),
    }
    return render(request, "protection/guard.html", context)


@form_page(WRITE)
def guard_start(
    request: HttpRequest, actor: Actor, name: str, number: int, commitment_id: UUID
) -> HttpResponse:
    """Step 2: choose the images, hand in the key, start."""
    version = version_of(actor, name, number)
    commitment = get_object_or_404(
        commitment_list(actor=actor).filter(version=version), id=commitment_id
    )
    replaced = _replaced(request, actor, version)
    kind = RotationForm if replaced else GuardForm
    initial = {"dataset": replaced.dataset} if replaced else None
    form = kind(request.POST or None, request.FILES or None, initial=initial)
    if request.POST and (
        made := submit(form, start, actor=actor, commitment=commitment, replaced=replaced)
    ):
        return redirect("web:job", job_id=made.job_id)
    parameters = guard_parameters(version, commitment)
    context = {
        "version": version,
        "commitment": commitment,
        "form": form,
        "replaced": replaced,
        "in_short": words.in_short(parameters),
        "has_cells": parameters.cells > 1,
    }
    return render(request, "protection/guard_start.html", context)


@form_page(READ)
def guard_page(request: HttpRequest, actor: Actor, guard_id: UUID) -> HttpResponse:
    """A guard: what it costs, its time, its clients, and the file for the server."""
    row = get_object_or_404(guard_list(actor=actor), id=guard_id)
    if request.method == "POST":
        actor.require(WRITE)
    sent = request.POST.get("kind")
    client = ClientForm(*((request.POST, request.FILES) if sent == "client" else ()))
    download = ConfigurationForm(
        *((request.POST, request.FILES) if sent == "configuration" else ()), prefix="download"
    )
    theft = TheftForm(
        *((request.POST, request.FILES) if sent == "attacks" else ()),
        kind=row.kind, initial={"dataset": row.dataset}, prefix="theft",
    )  # fmt: skip
    if sent == "attacks" and (made := submit(theft, attack, actor=actor, protection=row)):
        return redirect("web:job", job_id=made.job_id)
    if sent == "client" and (made := submit(client, _add, actor=actor, guard=row)):
        messages.success(request, f"{made} has key bits of their own. Renew the server’s file.")
        return redirect("web:guard-page", guard_id=row.id)
    if sent == "configuration" and (told := submit(download, _told, actor=actor, guard=row)):
        return _file(told, configuration_name(row))
    return render(
        request, "protection/guard_page.html", _shown(actor, row, client, download, theft)
    )


@action(WRITE)
def guard_client_end(
    request: HttpRequest, actor: Actor, guard_id: UUID, client_id: UUID
) -> HttpResponse:
    """Leave a client out of configurations from now on."""
    rows = client_list(actor=actor).filter(guard_id=guard_id)
    row = get_object_or_404(rows, id=client_id)
    client_end(actor=actor, client=row)
    messages.success(request, f"{row} is left out of new files. What they copied can be told.")
    return redirect("web:guard-page", guard_id=guard_id)


def start(*, key_file: Any, replaced: Protection | None, **arguments: Any) -> Protection:
    """The service under the form's field names."""
    if replaced:
        return guard_rotate(guard=replaced, key=key_file, **arguments)
    return guard_create(key=key_file, **arguments)


def _add(*, key_file: Any, **arguments: Any) -> GuardClient:
    return client_add(key=key_file, **arguments)


def _told(*, key_file: Any, **arguments: Any) -> GuardFile:
    return guard_configuration(key=key_file, **arguments)


def _file(told: GuardFile, name: str) -> HttpResponse:
    """A configuration to save; no cache keeps it."""
    return HttpResponse(
        told.dumps(),
        content_type="application/json",
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        },
    )


def _replaced(request: HttpRequest, actor: Actor, version: Version) -> Protection | None:
    """The guard that the query wants replaced, if any."""
    wanted = request.GET.get("replaces")
    if not wanted:
        return None
    try:
        guard_id = UUID(wanted)
    except ValueError:
        guard_id = None
    return get_object_or_404(guard_list(actor=actor).filter(source=version), id=guard_id)


def _chosen(request: HttpRequest, version: Version) -> dict[str, Any]:
    """The options as the query chooses them, or as recommended where it does not make sense."""
    card = version.card
    if card is None:
        return {}
    best = parameters = recommended(card["classes"])
    problem = None
    try:
        parameters = guard_options.read(request.GET.dict(), best)
    except SpellmarkError as error:
        problem = error
    strength, *more = guard_options.options(card, parameters)
    return {
        "strength": strength,
        "options": more,
        "classes": card["classes"],
        "problem": problem,
        "is_recommended": parameters == best,
        "spends_accuracy": parameters.label_margin > 0,
        "has_more": (parameters.cells, parameters.label_margin) != (best.cells, 0),
        "cost": guard_options.cost(parameters),
        "in_short": words.in_short(parameters),
        "keygen": guard_options.keygen_command(parameters),
    }


def _shown(
    actor: Actor,
    row: Protection,
    client: ClientForm,
    download: ConfigurationForm,
    theft: TheftForm,
) -> dict[str, Any]:
    """What protection/guard_page.html shows."""
    parameters = guard_parameters(row.source, row.commitment)
    serves = bool(row.protected_version) and not row.is_over
    clients = client_list(actor=actor).filter(guard=row)
    context = {
        **progress(row.job),
        "guard": row,
        "in_short": words.in_short(parameters),
        "cost": guard_options.cost(parameters),
        "words": words.describe(parameters, {}),
        "parameters": parameters,
        "serves": serves,
        "file_name": configuration_name(row),
        "clients": clients,
        "has_own_keys": any(client.ended_at is None for client in clients),
        "successors": row.successors.select_related("job", "commitment"),
        "client_form": client,
        "download_form": download,
        "theft_form": theft,
        "rehearsals": [
            (one, thefts(one.results or []))
            for one in rehearsal_list(actor=actor).filter(protection=row)
        ],
    }
    if row.report_card:
        context["bars"] = guard_bars(row.report_card)
    if serves and actor.may(WRITE):
        context["configuration"] = json.dumps(public_configuration(row))
    return context
