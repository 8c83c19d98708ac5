"""Jobs: what the workers are doing."""

from datetime import timedelta
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django_htmx.http import HttpResponseClientRefresh

from accounts.actors import READ, WRITE, Actor
from disputes.selectors import report_list
from jobs.models import Job
from jobs.selectors import job_list
from jobs.services import job_cancel
from protection.selectors import editor_list, protection_list, rehearsal_list, unlock_list
from verification.plots import growing_plot, growth_plot_text
from verification.selectors import reference_list, run_list
from web.viewer import action, page, paginate

SHOWN_LINES = 200
LONG_WAIT = timedelta(seconds=30)


@page(READ)
def jobs(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The organisation's jobs, newest first."""
    state = request.GET.get("state", "")
    rows = job_list(organisation_id=actor.organisation.id)
    if state in Job.State.values:
        rows = rows.filter(state=state)
    context = {"jobs": paginate(request, rows), "states": Job.State, "state": state}
    return render(request, "jobs/jobs.html", context)


@page(READ)
def job_page(request: HttpRequest, actor: Actor, job_id: UUID) -> HttpResponse:
    """One job, live."""
    job = _job(actor, job_id)
    context = {
        **progress(job),
        "protection": protection_list(actor=actor).filter(job=job).first(),
        "rehearsal": rehearsal_list(actor=actor).filter(job=job).first(),
        "editor": editor_list(actor=actor).filter(job=job).first(),
        "unlock": unlock_list(actor=actor).filter(job=job).first(),
        "run": run_list(actor=actor).filter(job=job).first(),
        "references": reference_list(actor=actor).filter(job=job).count(),
        "report": report_list(actor=actor).filter(job=job).first(),
    }
    return render(request, "jobs/job.html", context)


@page(READ)
def job_progress(request: HttpRequest, actor: Actor, job_id: UUID) -> HttpResponse:
    """The moving part of a job's page; when the job is over, the whole page is drawn anew."""
    job = _job(actor, job_id)
    if job.is_over and request.htmx:
        return HttpResponseClientRefresh()
    small = "small" in request.GET
    template = "disputes/report_progress.html" if small else "jobs/progress.html"
    return render(request, template, progress(job))


@action(WRITE)
def job_stop(request: HttpRequest, actor: Actor, job_id: UUID) -> HttpResponse:
    """Ask a job to stop."""
    job_cancel(job=_job(actor, job_id), by=actor.name)
    messages.success(request, "The job stops: at once if it waits, else at its next step.")
    return redirect("web:job", job_id=job_id)


def progress(job: Job) -> dict[str, object]:
    """What jobs/progress.html draws."""
    waited = timezone.now() - job.created_at
    run = getattr(job, "run", None) if job.state == Job.State.RUNNING else None
    plot = growing_plot(run) if run else ""
    return {
        "job": job,
        "lines": job.lines.order_by("-id")[:SHOWN_LINES],
        "waits_long": job.state == Job.State.QUEUED and waited > LONG_WAIT,
        "growing_plot": plot,
        "growing_text": growth_plot_text(run) if plot else "",
    }


def _job(actor: Actor, job_id: UUID) -> Job:
    return get_object_or_404(job_list(organisation_id=actor.organisation.id), id=job_id)
