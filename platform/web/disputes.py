"""Cases and their reports."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.db.models import Count, QuerySet
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from accounts.actors import AUDIT, READ, VERIFY, Actor
from disputes.models import Case
from disputes.selectors import case_list, report_list, retest_list, share_list
from disputes.services import case_add_runs, case_close, case_create, report_create
from disputes.standing import case_standings, conclusion_of
from spellmark.errors import SpellmarkError
from verification.models import Run
from verification.selectors import run_list
from web.forms import submit
from web.uploads import stored
from web.viewer import action, form_page, page, paginate

PARTS = {
    "pdf": ("pdf_sha256", "application/pdf", "pdf"),
    "html": ("html_sha256", "text/html", "html"),
    "evidence": ("evidence_sha256", "application/zip", "zip"),
}


class RunsField(forms.ModelMultipleChoiceField):
    """Runs, each by suspect, verdict and day."""

    widget = forms.CheckboxSelectMultiple

    def label_from_instance(self, run: Any) -> str:
        """What tells runs apart."""
        return f"{run.suspect}: {run.verdict or run.job.state} ({run.created_at:%d %b %Y, %H:%M})"


class RunsForm(forms.Form):
    """Runs that join a case."""

    runs = RunsField(Run.objects.none(), label="Runs")

    def __init__(self, *args: Any, runs: QuerySet[Run], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["runs"].queryset = runs


class CaseForm(RunsForm):
    """A new case."""

    title = forms.CharField(
        max_length=200,
        widget=forms.TextInput(attrs={"autofocus": True}),
        help_text="It stands on the report.",
    )
    description = forms.CharField(
        required=False,
        max_length=10_000,
        widget=forms.Textarea(attrs={"rows": 5}),
        help_text="What happened, in your words. It stands on the report, too.",
    )
    field_order = ["title", "description", "runs"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["runs"].required = False
        self.fields["runs"].help_text = "Runs can be added later, but never taken out."


@page(READ, AUDIT)
def cases(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The organisation's cases."""
    rows = (
        case_list(actor=actor)
        .annotate(
            run_count=Count("runs", distinct=True), report_count=Count("reports", distinct=True)
        )
        .order_by("-created_at")
    )
    return render(request, "disputes/cases.html", {"cases": paginate(request, rows)})


@form_page(VERIFY)
def case_new(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Open a case."""
    form = CaseForm(
        request.POST or None,
        runs=run_list(actor=actor),
        initial={"runs": request.GET.getlist("run")},
    )
    if request.POST and (case := submit(form, case_create, actor=actor)):
        return redirect("web:case", case_id=case.id)
    return render(request, "disputes/case_new.html", {"form": form})


@page(READ, AUDIT)
def case_page(request: HttpRequest, actor: Actor, case_id: UUID) -> HttpResponse:
    """One case: its runs and its reports."""
    case = _case(actor, case_id)
    runs = run_list(actor=actor).filter(cases=case)
    others = run_list(actor=actor).exclude(cases=case)
    reports = list(report_list(actor=actor).filter(case=case))
    standings = case_standings(case)
    context = {
        "case": case,
        "runs": runs,
        "form": RunsForm(runs=others) if others.exists() else None,
        "reports": reports,
        "is_writing": any(not report.job.is_over for report in reports),
        "standings": standings,
        "conclusion": conclusion_of(standings),
        "retests": retest_list(actor=actor).filter(case=case),
        "shares": share_list(actor=actor).filter(case=case),
        "waits_for_runs": any(not run.job.is_over for run in runs),
    }
    return render(request, "disputes/case.html", context)


@action(VERIFY)
def case_runs(request: HttpRequest, actor: Actor, case_id: UUID) -> HttpResponse:
    """Add runs to a case."""
    case = _case(actor, case_id)
    form = RunsForm(request.POST, runs=run_list(actor=actor))
    if not form.is_valid():
        raise SpellmarkError("No run was chosen.", hint="Tick at least one, then add it.")
    case_add_runs(actor=actor, case=case, runs=form.cleaned_data["runs"])
    return redirect("web:case", case_id=case_id)


@action(VERIFY)
def case_end(request: HttpRequest, actor: Actor, case_id: UUID) -> HttpResponse:
    """Close a case."""
    case_close(actor=actor, case=_case(actor, case_id))
    messages.success(request, "The case is closed. Its runs and reports stay.")
    return redirect("web:case", case_id=case_id)


@action(VERIFY)
def report_new(request: HttpRequest, actor: Actor, case_id: UUID) -> HttpResponse:
    """Start writing a report."""
    report_create(actor=actor, case=_case(actor, case_id))
    return redirect("web:case", case_id=case_id)


@page(READ, AUDIT)
def report_part(
    request: HttpRequest, actor: Actor, report_id: UUID, part: str
) -> HttpResponse | FileResponse:
    """The report as pdf, as html, or its evidence zip."""
    report = get_object_or_404(report_list(actor=actor), id=report_id)
    if part not in PARTS:
        raise Http404
    field, content_type, ending = PARTS[part]
    if not (sha256 := getattr(report, field)):
        raise SpellmarkError("This report is not written yet.", hint="Wait for its job.")
    return stored(sha256, name=f"report-{report.number}.{ending}", content_type=content_type)


def _case(actor: Actor, case_id: UUID) -> Case:
    return get_object_or_404(case_list(actor=actor), id=case_id)
