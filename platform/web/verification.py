"""Suspects and verification runs."""

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse

from accounts.actors import AUDIT, READ, VERIFY, Actor
from disputes.report.protocol import MET, protocol_of
from disputes.selectors import case_list
from ledger.selectors import certificate_list, certificate_statement
from protection.models import Protection
from protection.selectors import protection_list
from spellmark.errors import SpellmarkError
from spellmark.evidence.fingerprint_rule import FEATURES, FINGERPRINTS, RANKED
from spellmark.evidence.mark_rule import DYNAMIC
from spellmark.evidence.trigger_rule import TRIGGER
from verification.fingerprints import next_best
from verification.innocents_plot import innocents_plot
from verification.methods import METHODS, limits, method_name
from verification.models import Run, Suspect
from verification.plots import run_plot, run_plot_text
from verification.selectors import run_bundle, run_list, suspect_list
from verification.services import (
    USUAL_PROBES,
    USUAL_QUESTIONS,
    Rule,
    rule_for,
    run_create,
    run_rule,
    suspect_endpoint_create,
    suspect_file_create,
)
from verification.tries import Tries
from web.forms import KeyFileField, SecretTextarea, submit
from web.jobs import progress
from web.uploads import body_chunks, content_length, download, stored
from web.viewer import form_page, page, paginate


class EndpointForm(forms.Form):
    """An endpoint that speaks the Open Inference Protocol V2."""

    name = forms.CharField(max_length=100, help_text="What you call it, such as “Rival's API”.")
    url = forms.URLField(
        label="Server address",
        max_length=500,
        assume_scheme="https",
        help_text="Without /v2/…, such as https://models.example.com.",
    )
    model = forms.CharField(
        max_length=200, label="Model", help_text="Its name on that server, as in /v2/models/NAME."
    )
    classes = forms.IntegerField(
        min_value=2, max_value=100_000, help_text="How many classes it tells apart."
    )
    input_name = forms.CharField(max_length=100, initial="input", label="Name of the input")
    datatype = forms.ChoiceField(
        choices=[("UINT8", "whole numbers (UINT8)"), ("FP32", "fractions (FP32)")],
        label="Pixels are sent as",
    )
    value_range = forms.ChoiceField(
        choices=[("0-255", "0 to 255"), ("0-1", "0 to 1")], label="Range of a pixel"
    )
    output_name = forms.CharField(
        max_length=100,
        required=False,
        label="Name of the output",
        help_text="Only where the model has several outputs.",
    )

    def clean_output_name(self) -> str | None:
        """An empty name is none."""
        return self.cleaned_data["output_name"] or None


class FileForm(forms.Form):
    """A model file, for browsers without JavaScript."""

    name = forms.CharField(
        max_length=100, required=False, help_text="What you call it; else the file's own name."
    )
    file = forms.FileField(label="Model file", help_text="safetensors with a Spellmark model card.")


class ProtectionField(forms.ModelChoiceField):
    """A finished protection, by the version it made or guards."""

    def label_from_instance(self, protection: Any) -> str:
        """Kind, result and source; of a guard the version and its key."""
        if protection.result is None:
            key = protection.commitment.digest[:12]
            return f"guard on {protection.source}, key {key}…"
        return f"{protection.kind}: {protection.result} (made from {protection.source})"


class SuspectField(forms.ModelChoiceField):
    """A suspect, by name and what it is."""

    def label_from_instance(self, suspect: Any) -> str:
        """Name and address."""
        return f"{suspect.name} ({suspect.config.get('url') or 'model file'})"


class RunForm(forms.Form):
    """A run. Everything but suspect, protection and key has a default."""

    suspect = SuspectField(Suspect.objects.none(), empty_label="choose one")
    protection = ProtectionField(
        Protection.objects.none(),
        empty_label="choose one",
        help_text="The lock, guard or watermark that the suspect may have been copied with.",
    )
    key_file = KeyFileField(
        label="Key file",
        help_text="The .spellkey of that protection. It is sealed for this run, then erased.",
    )
    method = forms.ChoiceField(
        required=False,
        label="Method",
        choices=[
            ("", "Whatever suits the protection: keyed labels where a lock has them"),
            *(
                (key, f"{method.name}. {method.sentence}")
                for key, method in METHODS.items()
                if key not in FINGERPRINTS
            ),
        ],
        widget=forms.RadioSelect,
    )
    alpha = forms.FloatField(
        required=False,
        label="Accepted risk of a false match (alpha)",
        help_text="0.001: an innocent model is called a match with a chance of at most 1 in 1,000. "
        "Empty: the strictest of 0.000001, 0.001, 0.01 and 0.05 that the method can show; 0.05 for "
        "an external feature.",
        widget=forms.NumberInput(attrs={"step": "any", "min": "0", "max": "0.05"}),
    )
    decoys = forms.IntegerField(
        min_value=19,
        max_value=1_000_000,
        initial=999,
        label="Decoy keys",
        help_text="For the random-key test: random keys that compete with yours. More of them can "
        "show a smaller p-value, at the least 1 / (decoys + 1).",
    )
    probes = forms.IntegerField(
        min_value=10,
        max_value=10_000,
        required=False,
        label="Probe images",
        help_text=f"Empty: {USUAL_PROBES} for a lock, each sent once under each of your sub-keys, "
        "or in the random-key test under your key and every decoy; for a guard at most "
        f"{USUAL_QUESTIONS}, each sent once as it is; for a watermark as many triggers as its key "
        "promises; for an external feature 100, each sent as it is and in two styles.",
    )
    batch = forms.IntegerField(
        min_value=1,
        max_value=10_000,
        initial=1000,
        label="Images in one request",
        help_text="Fewer, if the suspect refuses large requests.",
    )
    query_cap = forms.IntegerField(
        min_value=1,
        required=False,
        label="Most requests that may be sent",
        help_text="Empty: exactly as many as the questions need.",
    )
    headers = forms.CharField(
        required=False,
        max_length=20_000,
        widget=SecretTextarea(attrs={"rows": 3, "class": "code", "autocomplete": "off"}),
        label="Request headers",
        help_text="One “Name: value” a line, such as an Authorization that the suspect asks for. "
        "Sealed like the key.",
    )

    def __init__(self, *args: Any, actor: Actor, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["suspect"].queryset = suspect_list(actor=actor)
        self.fields["protection"].queryset = protection_list(actor=actor).filter(
            report_card__isnull=False
        )

    def clean_headers(self) -> dict[str, str]:
        """By name. Their values never stand in an error."""
        return headers_of(self.cleaned_data["headers"])


def headers_of(text: str) -> dict[str, str]:
    """Request headers by name, from one “Name: value” a line. Raises ValidationError."""
    headers = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        name, colon, value = line.partition(":")
        if not (colon and name.strip() and value.strip()):
            raise forms.ValidationError("Write each header as “Name: value”, one a line.")
        headers[name.strip()] = value.strip()
    return headers


@page(READ)
def suspects(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The organisation's suspects."""
    rows = suspect_list(actor=actor).prefetch_related("runs")
    return render(request, "verification/suspects.html", {"suspects": paginate(request, rows)})


@form_page(VERIFY)
def suspect_new(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Name a suspect: an endpoint, or a file."""
    sent = request.POST.get("kind")
    endpoint_form = EndpointForm(request.POST if sent == "endpoint" else None)
    file_form = FileForm(*((request.POST, request.FILES) if sent == "file" else ()))
    suspect: Suspect | None = None
    if sent == "endpoint":
        suspect = submit(endpoint_form, _endpoint, actor=actor)
    elif sent == "file":
        suspect = submit(file_form, _file, actor=actor)
    if suspect:
        messages.success(request, f"{suspect} is a suspect now. Start a run against it.")
        return redirect(f"{reverse('web:run-new')}?suspect={suspect.id}")
    context = {
        "endpoint_form": endpoint_form,
        "file_form": file_form,
        "sent": sent or request.GET.get("kind", "endpoint"),
        "most_bytes": settings.MAX_FILE_BYTES,
    }
    return render(request, "verification/suspect_new.html", context)


@page(VERIFY, methods=("PUT",))
def suspect_upload(request: HttpRequest, actor: Actor, name: str) -> HttpResponse:
    """Take a suspect's model file as the raw body that upload.js sends."""
    suspect = suspect_file_create(
        actor=actor,
        name=name,
        chunks=body_chunks(request),
        expected_size=content_length(request),
    )
    messages.success(request, f"{suspect} is a suspect now. Start a run against it.")
    return JsonResponse({"next": f"{reverse('web:run-new')}?suspect={suspect.id}"}, status=201)


@page(READ, AUDIT)
def runs(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The organisation's runs."""
    return render(
        request, "verification/runs.html", {"runs": paginate(request, run_list(actor=actor))}
    )


@form_page(VERIFY)
def run_new(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Fix the rule and start a run."""
    chosen = {name: request.GET.get(name) for name in ("suspect", "protection")}
    form = RunForm(request.POST or None, request.FILES or None, actor=actor, initial=chosen)
    if request.POST and (run := submit(form, start, actor=actor)):
        return redirect("web:run", run_id=run.id)
    context = {
        "form": form,
        "has_suspects": form.fields["suspect"].queryset.exists(),
        "has_protections": form.fields["protection"].queryset.exists(),
        **rule_preview(form, request.POST or request.GET),
    }
    return render(request, "verification/run_new.html", context)


def rule_preview(form: RunForm, data: Any) -> dict[str, Any]:
    """The rule that the choices made so far come to, or why there is none.

    The page asks for it again whenever a choice changes, before anything is fixed.
    """
    choices = {}
    try:
        protection = form.fields["protection"].clean(data.get("protection"))
        for name in ("method", "alpha", "decoys", "probes", "batch"):
            field = form.fields[name]
            choices[name] = field.clean(data.get(name, field.initial))
    except forms.ValidationError:
        return {}
    try:
        rule: Rule = rule_for(protection, **choices)
    except SpellmarkError as error:
        return {"no_rule": error}
    return {"rule": rule, "rule_method": method_name(rule.method)}


def start(*, key_file: Any, **arguments: Any) -> Run:
    """The service under the form's field names."""
    return run_create(key=key_file, **arguments)


@page(READ, AUDIT)
def run_page(request: HttpRequest, actor: Actor, run_id: UUID) -> HttpResponse:
    """One run: the verdict, what it rests on, and what it does not say."""
    run = _run(actor, run_id)
    certificate = _certificates(actor).filter(id=run.certificate_id).first()
    statement = certificate_statement(certificate) if certificate else None
    tries = Tries.of(statement.parameters if statement else {})
    exchanges = run.exchanges.values_list("state", flat=True)
    context = {
        **progress(run.job),
        "run": run,
        "certificate": certificate,
        "limits": statement.limits if statement else limits(run.method),
        "method": METHODS[run.method],
        "is_guard": run.method == DYNAMIC,
        "is_trigger": run.method == TRIGGER,
        "rule": run_rule(run),
        "is_fingerprint": run.method in RANKED,
        "is_feature": run.method in FEATURES,
        "next_method": _next_method(run),
        "sent": len(exchanges),
        "answered": sum(state == "answered" for state in exchanges),
        "tries": tries,
        "corrected_p": tries.held(run.p_value or 0),
        "cases": case_list(actor=actor).filter(runs=run),
        "plot": run_plot(run),
        "plot_text": run_plot_text(run),
        "innocents": innocents_plot(run),
    }
    return render(request, "verification/run.html", context)


@page(READ, AUDIT)
def run_protocol(request: HttpRequest, actor: Actor, run_id: UUID) -> HttpResponse:
    """The protocol's demands, and how this run met them."""
    run = _run(actor, run_id)
    demands = protocol_of(run)
    context = {
        "run": run,
        "method": METHODS[run.method],
        "demands": demands,
        "met": sum(answer.state == MET for answer in demands),
    }
    return render(request, "verification/protocol.html", context)


@page(READ, AUDIT)
def run_bundle_file(request: HttpRequest, actor: Actor, run_id: UUID) -> HttpResponse:
    """The evidence bundle, for `spellmark verify`."""
    run = _run(actor, run_id)
    bundle = run_bundle(run).dumps()
    return download(bundle, name=f"run-{run.id}.zip", content_type="application/zip")


@page(READ, AUDIT)
def run_transcript(request: HttpRequest, actor: Actor, run_id: UUID) -> HttpResponse:
    """The transcript: every question and answer, one JSON object a line."""
    run = _run(actor, run_id)
    if not run.transcript_sha256:
        raise SpellmarkError("This run has no transcript yet.", hint="Wait until it is over.")
    return stored(
        run.transcript_sha256, name=f"run-{run.id}.jsonl", content_type="application/jsonl"
    )


def _run(actor: Actor, run_id: UUID) -> Run:
    return get_object_or_404(run_list(actor=actor), id=run_id)


def _next_method(run: Run) -> dict[str, str] | None:
    """What to try where this run did not decide."""
    found = next_best(run)
    if found is None:
        return None
    method, why = found
    version = run.owners if run.method in FEATURES else run.source
    chosen = {
        "suspect": run.suspect_id, "version": version.id, "dataset": run.dataset, "method": method,
    }  # fmt: skip
    return {
        "name": method_name(method) if method else "",
        "why": why,
        "url": f"{reverse('web:fingerprint-new')}?{urlencode(chosen)}" if method else "",
    }


def _certificates(actor: Actor) -> Any:
    return certificate_list(organisation_id=actor.organisation.id)


def _endpoint(*, actor: Actor, name: str, **config: Any) -> Suspect:
    return suspect_endpoint_create(actor=actor, name=name, config=config)


def _file(*, actor: Actor, name: str, file: Any) -> Suspect:
    return suspect_file_create(
        actor=actor,
        name=name or file.name[:100],
        chunks=file.chunks(),
        expected_size=file.size,
    )
