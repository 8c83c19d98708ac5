"""Reading cases and reports, always within the actor's organisation."""

from django.db.models import QuerySet

from accounts.actors import AUDIT, READ, Actor
from disputes.models import Case, Report


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
