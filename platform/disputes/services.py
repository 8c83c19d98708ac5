"""What makes cases and reports."""

import uuid
from collections.abc import Sequence

from django.db import transaction
from django.db.models import Max

from accounts.actors import VERIFY, Actor
from config.validation import validate
from disputes.models import Case, Report
from jobs.models import Job
from jobs.services import job_create, job_finish
from registry import storage
from spellmark.errors import SpellmarkError
from verification.models import Run

REPORT_JOB = "report"


class DisputeError(SpellmarkError):
    """A case or report that cannot be made."""


@transaction.atomic
def case_create(
    *, actor: Actor, title: str, description: str = "", runs: Sequence[Run] = ()
) -> Case:
    """Open a case. Raises DisputeError."""
    actor.require(VERIFY)
    case = Case(
        organisation=actor.organisation,
        title=title,
        description=description,
        created_by=actor.name,
    )
    validate(case, DisputeError)
    case.save()
    case.runs.add(*runs)
    return case


def case_add_runs(*, actor: Actor, case: Case, runs: Sequence[Run]) -> None:
    """Add runs to an open case; none can be taken out, so that failed ones are reported too."""
    actor.require(VERIFY)
    _check_open(case)
    case.runs.add(*runs)


def case_close(*, actor: Actor, case: Case) -> None:
    """Close a case: no more runs."""
    actor.require(VERIFY)
    _check_open(case)
    case.state = Case.State.CLOSED
    case.save(update_fields=["state"])


@transaction.atomic
def report_create(*, actor: Actor, case: Case) -> Report:
    """Start the job that writes the case's report. Raises DisputeError."""
    actor.require(VERIFY)
    Case.objects.select_for_update().get(id=case.id)  # so that numbers come one by one
    runs = list(case.runs.select_related("job"))
    if not runs:
        raise DisputeError("The case has no runs to report.", hint="Add at least one run.")
    if any(not run.job.is_over for run in runs):
        raise DisputeError(
            "A run of this case is still going on.", hint="Wait for it, or cancel it."
        )
    report_id = uuid.uuid4()
    number = (case.reports.aggregate(last=Max("number"))["last"] or 0) + 1
    job = job_create(
        organisation_id=case.organisation_id,
        kind=REPORT_JOB,
        title=f"Report {number} on {case}",
        queue="egress",
        payload={"report": str(report_id)},
        created_by=actor.name,
    )
    return Report.objects.create(
        id=report_id, case=case, number=number, job=job, created_by=actor.name
    )


def report_finish(*, report: Report, job: Job, pdf: bytes, html: bytes, evidence: bytes) -> None:
    """Keep the report's files and end its job."""
    report.pdf_sha256 = storage.put(pdf)
    report.html_sha256 = storage.put(html)
    report.evidence_sha256 = storage.put(evidence)
    job_finish(job=job, record=report.save)


def _check_open(case: Case) -> None:
    if case.state != Case.State.OPEN:
        raise DisputeError("This case is closed.", hint="Open a new case.")
