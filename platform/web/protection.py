"""The lock wizard, the report card, and attacks on one's own locks."""

import json
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse

from accounts.actors import READ, WRITE, Actor
from protection import options, words
from protection.attacks import ATTACKS, BUDGET_WORDS, title
from protection.models import Protection, Rehearsal
from protection.plots import attack_bars, spell_groups, wrong_key_plot, wrong_key_text
from protection.samples import sample_sheet
from protection.selectors import protection_list, rehearsal_list
from protection.services import (
    LEAST_WRONG_SPELLS,
    MOST_SEEDS,
    attacks_create,
    card_of,
    geometry_of,
    key_lock_create,
    lock_parameters,
    prompt_lock_create,
)
from registry.models import Commitment, Version
from registry.selectors import commitment_list, version_list
from registry.services import commitment_create
from spellmark.errors import SpellmarkError
from spellmark.locks.key_lock.parameters import SCHEME, LockParameters
from spellmark.locks.key_lock.settings import LEAST_WRONG_KEYS, USUAL_SEEDS
from spellmark.locks.prompt_lock.parameters import SCHEME as PROMPT_LOCK
from spellmark.locks.prompt_lock.policies import UNIFORM
from spellmark.training import datasets
from web.forms import KeyFileField, submit
from web.jobs import progress
from web.plots import accuracy_bars
from web.viewer import form_page, page

DIGEST = re.compile("[0-9a-fA-F]{64}")


class CommitmentForm(forms.Form):
    """A commitment as keys.js makes it and `spellmark commit` prints it."""

    # Raises SpellmarkError where the commitment does not fit the version.
    parameters_of: Callable[[Version, Commitment], words.Parameters] = staticmethod(lock_parameters)

    commitment = forms.CharField(
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 5, "spellcheck": "false", "class": "code"}),
        label="Commitment",
    )

    def __init__(self, *args: Any, version: Version, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.version = version

    def clean(self) -> dict[str, Any]:
        """Digest, scheme and parameters, fit for a protection of this version."""
        try:
            value = json.loads(self.cleaned_data.get("commitment", ""))
            digest, scheme, parameters = (value[k] for k in ("digest", "scheme", "parameters"))
            is_whole = bool(DIGEST.fullmatch(digest)) and isinstance(parameters, dict)
        except (ValueError, TypeError, KeyError, RecursionError):
            is_whole = False
        if not is_whole:
            raise forms.ValidationError(
                "This is not a commitment. Paste all that `spellmark commit` printed, "
                "from the first brace to the last."
            )
        wanted = Commitment(version=self.version, scheme=scheme, parameters=parameters)
        try:
            # Now, because a commitment that came in stays for good.
            self.parameters_of(self.version, wanted)
        except SpellmarkError as error:
            raise forms.ValidationError(str(error)) from None
        return {"digest": digest, "scheme": scheme, "parameters": parameters}


class DatasetField(forms.ChoiceField):
    """One of the data sets that are found here, or none where `nothing` says what that means."""

    def __init__(self, *, nothing: str = "", **kwargs: Any) -> None:
        none = [("", nothing)] if nothing else []
        super().__init__(
            choices=lambda: [*none, *((name, name) for name in datasets.names())],
            required=not nothing,
            **kwargs,
        )


class LockForm(forms.Form):
    """What the training needs; all but the key has a default."""

    key_file = KeyFileField(
        label="Key file",
        help_text="The .spellkey that was saved in step 1. It is sealed for this one job and "
        "erased when the job ends.",
    )
    dataset = DatasetField(
        label="Training images",
        help_text="Those that the model was trained on, or images like them.",
    )
    epochs = forms.IntegerField(
        min_value=1,
        max_value=1000,
        required=False,
        label="Rounds of training",
        help_text="How often it sees all the images. Left empty: as many rounds as that number of "
        "images asks for, more where they are few. That takes some minutes a training.",
    )
    images = forms.IntegerField(
        min_value=100,
        initial=6000,
        label="Images to train on",
        help_text="More images give a better locked model and take longer.",
    )
    seeds = forms.IntegerField(
        min_value=1,
        max_value=MOST_SEEDS,
        initial=USUAL_SEEDS,
        label="Trainings",
        help_text="How often it is trained, each time by other chances, so that the report card "
        "shows what is luck. The first one is registered.",
    )
    wrong_keys = forms.IntegerField(
        min_value=LEAST_WRONG_KEYS,
        max_value=100_000,
        initial=LEAST_WRONG_KEYS,
        label="Wrong keys to try",
        help_text="For the report card: how the locked model does under this many random keys.",
    )


class PromptLockForm(LockForm):
    """The same for a spell: edits are dear, so fewer wrong ones are tried."""

    epochs = forms.IntegerField(
        min_value=1,
        max_value=1000,
        initial=12,
        label="Rounds of training",
        help_text="More rounds win back accuracy and take longer.",
    )
    images = forms.IntegerField(
        min_value=100,
        initial=12_000,
        label="Images to train on",
        help_text="More images give a better locked model and take longer.",
    )
    wrong_keys = forms.IntegerField(
        min_value=LEAST_WRONG_SPELLS,
        max_value=100_000,
        initial=300,
        label="Wrong spells to try",
        help_text="For the report card: how the locked model does under this many random spells.",
    )
    negatives = forms.ChoiceField(
        choices=[
            (name, f"{title}: {help_}") for name, (title, help_) in words.NEGATIVE_WORDS.items()
        ],
        initial=UNIFORM,
        widget=forms.RadioSelect,
        label="What it learns without the spell",
    )


class AttackForm(forms.Form):
    """Which attacks to try on one's own lock, and how hard."""

    key_file = KeyFileField(
        label="Key file",
        help_text="The .spellkey of this lock. The attacks never see it: it makes the locked "
        "images that a thief might catch. Sealed for this one job, then erased.",
    )
    dataset = DatasetField(
        label="The thief's images",
        help_text="Its training images are what the thief has, its test images what is measured.",
    )
    attacks = forms.MultipleChoiceField(
        widget=forms.CheckboxSelectMultiple,
        label="Attacks",
    )
    budget = forms.ChoiceField(
        choices=list(BUDGET_WORDS.items()),
        widget=forms.RadioSelect,
        initial="quick",
        label="Effort",
    )

    def __init__(self, *args: Any, kind: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        known, field = ATTACKS[kind], self.fields["attacks"]
        field.choices = [(name, f"{title(name)}: {sentence}") for name, sentence in known.items()]
        field.initial = list(known)


@form_page(WRITE)
def lock(request: HttpRequest, actor: Actor, name: str, number: int) -> HttpResponse:
    """Step 1: choose the lock, make a key for it, or bring one, and commit to it."""
    version = version_of(actor, name, number)
    form = CommitmentForm(request.POST or None, version=version)
    if done := committed(request, actor, form):
        return done
    context = {
        "version": version,
        "form": form,
        "scheme": SCHEME,
        "commitments": usable(version, SCHEME),
        **_chosen(request, version),
    }
    return render(request, "protection/lock.html", context)


@page(WRITE)
def lock_samples(request: HttpRequest, actor: Actor, name: str, number: int) -> HttpResponse:
    """A PNG of test images, plain and under a throwaway key of the options in the query."""
    card = card_of(version_of(actor, name, number))
    parameters = _parameters(request, options.recommended(card))
    sheet = sample_sheet(request.GET.get("dataset", ""), card, parameters)
    return HttpResponse(sheet, content_type="image/png")


@form_page(WRITE)
def lock_start(
    request: HttpRequest, actor: Actor, name: str, number: int, commitment_id: UUID
) -> HttpResponse:
    """Step 2: choose the images, hand in the key, start."""
    version = version_of(actor, name, number)
    commitment = get_object_or_404(
        commitment_list(actor=actor).filter(version=version), id=commitment_id
    )
    kind = PromptLockForm if commitment.scheme == PROMPT_LOCK else LockForm
    form = kind(request.POST or None, request.FILES or None)
    if request.POST and (made := submit(form, start, actor=actor, commitment=commitment)):
        return redirect("web:job", job_id=made.job_id)
    parameters = lock_parameters(version, commitment)
    context = {
        "version": version,
        "commitment": commitment,
        "form": form,
        "in_short": words.in_short(parameters),
    }
    return render(request, "protection/lock_start.html", context)


@form_page(READ)
def protection_page(request: HttpRequest, actor: Actor, protection_id: UUID) -> HttpResponse:
    """The report card: what a lock is worth, and what attacks reached."""
    row = get_object_or_404(protection_list(actor=actor), id=protection_id)
    if row.kind == Protection.Kind.DYNAMIC:
        return redirect("web:guard-page", guard_id=row.id)
    if row.kind == Protection.Kind.TRIGGER:
        return redirect("web:trigger-page", protection_id=row.id)
    if row.kind == Protection.Kind.FEATURE:
        return redirect("web:feature-page", protection_id=row.id)
    if request.method == "POST":
        actor.require(WRITE)
    form = AttackForm(
        request.POST or None, request.FILES or None, kind=row.kind, initial={"dataset": row.dataset}
    )
    if request.POST and (made := submit(form, attack, actor=actor, protection=row)):
        return redirect("web:job", job_id=made.job_id)
    return render(request, "protection/report_card.html", _report_card(actor, row, form))


def start(*, key_file: Any, **arguments: Any) -> Protection:
    """The service under the form's field names."""
    is_spell = arguments["commitment"].scheme == PROMPT_LOCK
    create = prompt_lock_create if is_spell else key_lock_create
    return create(key=key_file, **arguments)


def attack(*, key_file: Any, **arguments: Any) -> Rehearsal:
    """The service under the form's field names."""
    return attacks_create(key=key_file, **arguments)


def _chosen(request: HttpRequest, version: Version) -> dict[str, Any]:
    """The options as the query chooses them, or as recommended where it does not make sense."""
    card = version.card
    if card is None:
        return {}
    try:
        best = parameters = options.recommended(card)
    except SpellmarkError as error:
        return {"no_lock": error}
    problem = None
    try:
        parameters = _parameters(request, best)
        geometry_of(parameters, card)
    except SpellmarkError as error:
        problem = error
    return {
        "options": options.options(card, parameters),
        "problem": problem,
        "is_recommended": parameters == best,
        "in_short": words.in_short(parameters),
        "floor": words.smallest_exact_p(parameters, card["classes"]),
        "keygen": options.keygen_command(parameters, card),
        "datasets": datasets.names(),
        "dataset": request.GET.get("dataset", ""),
        "query": request.GET.urlencode(),
    }


def committed(
    request: HttpRequest,
    actor: Actor,
    form: CommitmentForm,
    *,
    go_on: str = "web:lock-start",
    query: str = "",
) -> HttpResponse | None:
    """Register the commitment that was sent, and go on; None where there is none to register."""
    version = form.version
    if not request.POST or not (
        made := submit(form, commitment_create, actor=actor, version=version)
    ):
        return None
    messages.success(request, "The commitment is registered. The key stayed with you.")
    address = reverse(go_on, args=[version.model.name, version.number, made.id])
    return redirect(f"{address}{query}")


def usable(
    version: Version,
    scheme: str,
    parameters_of: Callable[[Version, Commitment], words.Parameters] = lock_parameters,
) -> list[tuple[Commitment, str]]:
    """The version's commitments that can be used, each in short; the API takes any."""
    found = []
    for row in version.commitments.filter(scheme=scheme):
        with suppress(SpellmarkError):
            found.append((row, words.in_short(parameters_of(version, row))))
    return found


def _parameters(request: HttpRequest, best: LockParameters) -> LockParameters:
    """The options in the query. Raises KeyLockError."""
    return options.read(request.GET.dict(), request.GET.getlist("steps"), best)


def _report_card(actor: Actor, row: Protection, form: AttackForm) -> dict[str, Any]:
    """What protection/report_card.html shows."""
    card = card_of(row.source)
    parameters = lock_parameters(row.source, row.commitment)
    report = row.report_card
    rehearsals = rehearsal_list(actor=actor).filter(protection=row)
    context = {
        **progress(row.job),
        "protection": row,
        "form": form,
        "kind": words.KIND_WORDS[row.kind],
        "in_short": words.in_short(parameters),
        "words": words.describe(parameters, card),
        "floor": words.smallest_exact_p(parameters, card["classes"]),
        "can_rank": words.can_rank(parameters),
        "subkeys": parameters.subkeys,
        "classes": card["classes"],
        "rehearsals": [(one, attack_bars(one.results or [])) for one in rehearsals],
        "opened": next((one.id for one in rehearsals if one.results), None),
    }
    if report:
        context |= {
            "bars": accuracy_bars(report, classes=card["classes"]),
            "right_at": f"{report['right']:.2%}",
            "plot": wrong_key_plot(report, classes=card["classes"], name=str(row.id)),
            "plot_text": wrong_key_text(report, classes=card["classes"]),
        }
    if row.kind == Protection.Kind.PROMPT_LOCK:
        context["negatives"] = words.NEGATIVE_WORDS[row.settings.get("negatives", UNIFORM)]
        if report:
            context["groups"] = spell_groups(report)
    return context


def version_of(actor: Actor, name: str, number: int) -> Version:
    """A published version, by its address."""
    return get_object_or_404(
        version_list(actor=actor).filter(state=Version.State.PUBLISHED),
        model__name=name,
        number=number,
    )
