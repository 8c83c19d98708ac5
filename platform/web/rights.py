"""What those who are accused see and may do, and the owner's side of it."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from accounts.actors import VERIFY, Actor
from disputes.models import Retest, Share
from disputes.report.protocol import protocol_of
from disputes.rights import (
    lodge_bundle,
    lodge_certificate,
    retest_request,
    retest_start,
    share_create,
    share_end,
    share_use,
)
from disputes.selectors import case_list, retest_list, share_list, shared_runs
from disputes.standing import case_standings, conclusion_of
from ledger.models import Certificate
from ledger.selectors import certificate_list
from registry.services import REGISTRATION
from spellmark.errors import SpellmarkError
from spellmark.evidence.fingerprint_rule import FINGERPRINTS
from verification.innocents_plot import innocents_plot
from verification.methods import METHODS
from verification.plots import run_plot, run_plot_text
from verification.selectors import run_bundle
from web.forms import KeyFileField, SecretTextarea, submit
from web.uploads import download
from web.verification import headers_of
from web.viewer import action, actor_of, form_page

STATEMENT = {
    "required": False,
    "max_length": 2000,
    "widget": forms.Textarea(attrs={"rows": 3}),
    "help_text": "It stands in the case and in its report.",
}


class OwnForm(forms.Form):
    """A registration of the visitor's own organisation in this log."""

    certificate = forms.ModelChoiceField(
        Certificate.objects.none(), empty_label="choose one", label="Your registration"
    )
    statement = forms.CharField(label="What you say to it", **STATEMENT)

    def __init__(self, *args: Any, actor: Actor, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["certificate"].queryset = certificate_list(
            organisation_id=actor.organisation.id
        ).filter(kind=REGISTRATION)


class BundleForm(forms.Form):
    """A registration that another log holds."""

    name = forms.CharField(max_length=200, label="Who you are")
    bundle = forms.FileField(
        label="Registration", help_text="The evidence bundle (.zip) of your registration."
    )
    trust_file = forms.FileField(
        required=False,
        label="Trust file",
        help_text="trust.json of the registry that it comes from.",
    )
    statement = forms.CharField(label="What you say to it", **STATEMENT)


class RetestForm(forms.Form):
    """A request for a new test."""

    run = forms.UUIDField(widget=forms.HiddenInput)
    name = forms.CharField(required=False, max_length=200, label="Who you are")
    reason = forms.CharField(max_length=2000, label="Why", widget=forms.Textarea(attrs={"rows": 2}))


class KeyForm(forms.Form):
    """What a new test needs of the owner."""

    key = KeyFileField(
        required=False,
        label="Key file",
        help_text="The .spellkey of the protection. It is sealed for this run, then erased.",
    )
    headers = forms.CharField(
        required=False,
        max_length=20_000,
        widget=SecretTextarea(attrs={"rows": 3, "class": "code", "autocomplete": "off"}),
        label="Request headers",
        help_text="One “Name: value” a line, as for the first run. Sealed like the key.",
    )

    def __init__(self, *args: Any, keyed: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if keyed:
            self.fields["key"].required = True
        else:
            del self.fields["key"]

    def clean_headers(self) -> dict[str, str]:
        """By name. Their values never stand in an error."""
        return headers_of(self.cleaned_data["headers"])


@action(VERIFY)
def case_share(request: HttpRequest, actor: Actor, case_id: UUID) -> HttpResponse:
    """Make a link for those who are accused, and show it this once."""
    case = get_object_or_404(case_list(actor=actor), id=case_id)
    _, token = share_create(actor=actor, case=case)
    link = request.build_absolute_uri(reverse("web:shared", args=[token]))
    return render(request, "disputes/share.html", {"case": case, "link": link})


@action(VERIFY)
def case_share_end(
    request: HttpRequest, actor: Actor, case_id: UUID, share_id: UUID
) -> HttpResponse:
    """End a link."""
    share = get_object_or_404(share_list(actor=actor), id=share_id, case=case_id)
    share_end(actor=actor, share=share)
    messages.success(request, "The link is ended. What was lodged by it stays.")
    return redirect("web:case", case_id=case_id)


@form_page(VERIFY)
def retest(request: HttpRequest, actor: Actor, case_id: UUID, retest_id: UUID) -> HttpResponse:
    """Start the new test that was asked for."""
    row: Retest = get_object_or_404(retest_list(actor=actor), id=retest_id, case=case_id)
    if row.again_id is not None:
        return redirect("web:run", run_id=row.again_id)
    keyed = row.run.method not in FINGERPRINTS
    form = KeyForm(request.POST or None, request.FILES or None, keyed=keyed)
    if request.method == "POST" and (run := submit(form, retest_start, actor=actor, retest=row)):
        return redirect("web:run", run_id=run.id)
    return render(request, "disputes/retest.html", {"form": form, "retest": row})


@require_GET
def shared(request: HttpRequest, token: str) -> HttpResponse:
    """The case as those who are accused see it."""
    share, actor = _share(request, token)
    standings = case_standings(share.case)
    context = {
        "share": share,
        "token": token,
        "case": share.case,
        "runs": [
            {
                "row": run,
                "method": METHODS[run.method],
                "plot": run_plot(run),
                "plot_text": run_plot_text(run),
                "innocents": innocents_plot(run),
                "demands": protocol_of(run),
                "form": RetestForm(initial={"run": run.id}, auto_id=f"{run.id}-%s"),
                "retest": run.retests.filter(again=None).first(),
            }
            for run in shared_runs(share)
        ],
        "standings": standings,
        "conclusion": conclusion_of(standings),
        "is_owner": actor is not None and actor.organisation.id == share.case.organisation_id,
        "own_form": OwnForm(actor=actor, auto_id="own-%s") if actor else None,
        "may_lodge": actor is not None and actor.may(VERIFY),
        "bundle_form": BundleForm(),
    }
    return render(request, "disputes/shared.html", context)


@require_POST
def shared_lodge(request: HttpRequest, token: str) -> HttpResponse:
    """Lodge a registration: the visitor's own here, or a bundle."""
    share, actor = _share(request, token)
    if actor is not None and "certificate" in request.POST:
        own = _valid(OwnForm(request.POST, actor=actor))
        lodge_certificate(actor=actor, share=share, **own)
    else:
        sent = _valid(BundleForm(request.POST, request.FILES))
        trust_file = sent.pop("trust_file")
        lodge_bundle(
            share=share,
            actor=actor,
            trust_file=trust_file.read() if trust_file else b"",
            **{**sent, "bundle": sent["bundle"].read()},
        )
    messages.success(request, "It is lodged, and stands in the case.")
    return redirect("web:shared", token=token)


@require_POST
def shared_retest(request: HttpRequest, token: str) -> HttpResponse:
    """Ask for a new test."""
    share, actor = _share(request, token)
    sent = _valid(RetestForm(request.POST))
    run = get_object_or_404(shared_runs(share), id=sent.pop("run"))
    retest_request(share=share, actor=actor, run=run, **sent)
    messages.success(request, "The owner sees your request. What comes of it will stand here.")
    return redirect("web:shared", token=token)


@require_GET
def shared_bundle(request: HttpRequest, token: str, run_id: UUID) -> HttpResponse:
    """A run's evidence bundle, for `spellmark verify`."""
    share, _ = _share(request, token)
    run = get_object_or_404(shared_runs(share), id=run_id)
    return download(
        run_bundle(run).dumps(), name=f"run-{run.id}.zip", content_type="application/zip"
    )


def _share(request: HttpRequest, token: str) -> tuple[Share, Actor | None]:
    actor = actor_of(request)
    share = share_use(token=token, actor=actor)
    if share is None:
        raise Http404
    return share, actor


def _valid(form: forms.Form) -> dict[str, Any]:
    """The form's fields. Raises SpellmarkError with what does not fit."""
    if form.is_valid():
        return form.cleaned_data
    told = [
        f"{form.fields[name].label or name}: {' '.join(map(str, errors))}"
        for name, errors in form.errors.items()
        if name in form.fields
    ]
    raise SpellmarkError(" ".join(told), hint="Go back and correct it.")
