"""Runs that need no key: a suspect compared with a version by fingerprint."""

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from accounts.actors import VERIFY, Actor
from spellmark.errors import SpellmarkError
from spellmark.evidence.fingerprint_rule import FINGERPRINTS, JPEG, LEAST_PROBES, MIXED, WRONG
from spellmark.evidence.fingerprint_scores import COSINE, RBF
from spellmark.evidence.null_pool import count_kinds
from verification.fingerprints import (
    USUAL_FINGERPRINT_PROBES,
    fingerprint_rule_for,
    fingerprint_run_create,
)
from verification.methods import METHODS, method_name
from verification.models import Suspect
from verification.references import pool_of
from verification.selectors import suspect_list
from web.forms import SecretTextarea, submit
from web.protection import DatasetField
from web.references import VersionField, published
from web.verification import SuspectField, headers_of
from web.viewer import form_page


class FingerprintForm(forms.Form):
    """A run by fingerprint. Everything but suspect, version and data set has a default."""

    suspect = SuspectField(Suspect.objects.none(), empty_label="choose one")
    version = VersionField(empty_label="choose one", label="Your model")
    dataset = DatasetField(
        label="Data set", help_text="Its test images give the probes; the pool was grown on it."
    )
    method = forms.ChoiceField(
        label="Method",
        choices=[
            (name, f"{METHODS[name].name}. {METHODS[name].sentence}") for name in FINGERPRINTS
        ],
        initial=FINGERPRINTS[0],
        widget=forms.RadioSelect,
    )
    variant = forms.ChoiceField(
        choices=[
            (WRONG, "images that your model gets wrong"),
            (MIXED, "images with a patch of another one"),
            (JPEG, "strongly compressed images"),
        ],
        initial=WRONG,
        label="Probes of the correlation",
    )
    kernel = forms.ChoiceField(
        choices=[(COSINE, "cosine"), (RBF, "Gaussian (RBF)")],
        initial=COSINE,
        label="Likeness of the correlation",
    )
    alpha = forms.FloatField(
        required=False,
        label="Accepted risk of a false match (alpha)",
        help_text="Empty: 0.05. A smaller one needs a larger pool: 99 models for 0.01.",
        widget=forms.NumberInput(attrs={"step": "any", "min": "0", "max": "0.05"}),
    )
    probes = forms.IntegerField(
        min_value=LEAST_PROBES,
        max_value=10_000,
        required=False,
        label="Probe images",
        help_text=f"Empty: at most {USUAL_FINGERPRINT_PROBES}, each sent once, as it is.",
    )
    query_cap = forms.IntegerField(
        min_value=1,
        required=False,
        label="Most requests that may be sent",
        help_text="Empty: exactly as many as there are probes.",
    )
    headers = forms.CharField(
        required=False,
        max_length=20_000,
        widget=SecretTextarea(attrs={"rows": 3, "class": "code", "autocomplete": "off"}),
        label="Request headers",
        help_text="One “Name: value” a line, such as an Authorization that the suspect asks for. "
        "Sealed for this run, then erased.",
    )

    def __init__(self, *args: Any, actor: Actor, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["suspect"].queryset = suspect_list(actor=actor)
        self.fields["version"].queryset = published(actor)

    def clean_headers(self) -> dict[str, str]:
        """By name. Their values never stand in an error."""
        return headers_of(self.cleaned_data["headers"])

    def clean(self) -> dict[str, Any]:
        """Probes and likeness count for the correlation alone."""
        cleaned: dict[str, Any] = super().clean() or {}
        if cleaned.get("method") != "correlation":
            cleaned |= {"variant": WRONG, "kernel": COSINE}
        return cleaned


@form_page(VERIFY)
def fingerprint_new(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Fix the rule and the pool, and start a run without a key."""
    chosen = {
        name: request.GET[name]
        for name in ("suspect", "version", "method", "dataset")
        if name in request.GET
    }
    form = FingerprintForm(request.POST or None, actor=actor, initial=chosen)
    if request.POST and (run := submit(form, fingerprint_run_create, actor=actor)):
        return redirect("web:run", run_id=run.id)
    context = {
        "form": form,
        "has_suspects": form.fields["suspect"].queryset.exists(),
        "has_versions": form.fields["version"].queryset.exists(),
        **_preview(form, request.POST or request.GET),
    }
    return render(request, "verification/fingerprint_new.html", context)


def _preview(form: FingerprintForm, data: Any) -> dict[str, Any]:
    """The rule that the choices come to, over the pool as it stands, or why there is none."""
    choices = {}
    try:
        version = form.fields["version"].clean(data.get("version"))
        for name in ("dataset", "method", "alpha", "probes"):
            field = form.fields[name]
            choices[name] = field.clean(data.get(name, field.initial))
    except forms.ValidationError:
        return {}
    try:
        rule = fingerprint_rule_for(version, choices.pop("dataset"), **choices)
        pool = pool_of(version, data["dataset"], comparable=rule.method == "weights")
    except SpellmarkError as error:
        return {"no_rule": error, "preview_version": version}
    return {
        "rule": rule,
        "rule_method": method_name(rule.method),
        "kinds": count_kinds(pool).items(),
    }
