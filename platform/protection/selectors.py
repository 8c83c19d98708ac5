"""Reading protections, always within the actor's organisation."""

from django.db.models import QuerySet

from accounts.actors import READ, Actor
from protection.models import Protection, Rehearsal, Trial


def protection_list(*, actor: Actor) -> QuerySet[Protection]:
    """The organisation's protections, newest first."""
    actor.require(READ)
    return Protection.objects.filter(organisation=actor.organisation).select_related(
        "source__model", "result__model", "commitment", "job"
    )


def rehearsal_list(*, actor: Actor) -> QuerySet[Rehearsal]:
    """The attacks that the organisation ran on its own protections, newest first."""
    actor.require(READ)
    return Rehearsal.objects.filter(protection__organisation=actor.organisation).select_related(
        "job", "protection__result__model"
    )


def trial_list(*, actor: Actor) -> QuerySet[Trial]:
    """The spells that were tried in the organisation lately, newest first."""
    actor.require(READ)
    return Trial.objects.filter(version__model__organisation=actor.organisation).select_related(
        "job", "version__model"
    )
