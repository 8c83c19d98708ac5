"""Reading cases and reports, always within the actor's organisation."""

from django.db.models import QuerySet

from accounts.actors import AUDIT, READ, Actor
from disputes.models import Case, Report, Retest, Share
from jobs.models import Job
from verification.models import Run


def case_list(*, actor: Actor) -> QuerySet[Case]:
    """The organisation's cases, newest first."""
    actor.require(READ, AUDIT)
    return Case.objects.filter(organisation=actor.organisation)


def report_list(*, actor: Actor) -> QuerySet[Report]:
    """The organisation's reports, newest first."""
    actor.require(READ, AUDIT)
    return Report.objects.filter(case__organisation=actor.organisation).select_related(
        "case", "job"
    )


def share_list(*, actor: Actor) -> QuerySet[Share]:
    """The links to the organisation's cases, in the order in which they were made."""
    actor.require(READ, AUDIT)
    return Share.objects.filter(case__organisation=actor.organisation)


def retest_list(*, actor: Actor) -> QuerySet[Retest]:
    """The new tests that were asked for in the organisation's cases, in order."""
    actor.require(READ, AUDIT)
    return Retest.objects.filter(case__organisation=actor.organisation).select_related(
        "case", "run__suspect", "run__protection", "run__version", "again__job"
    )


def shared_runs(share: Share) -> QuerySet[Run]:
    """What those who hold a link see: the runs of its case that are over, and no other rows."""
    waits = (Job.State.QUEUED, Job.State.RUNNING)
    return (
        share.case.runs.exclude(job__state__in=waits)
        .select_related(
            "suspect", "job", "version__model", "protection__commitment",
            "protection__source__model", "protection__result__model",
        )
        .order_by("created_at", "id")
    )  # fmt: skip
