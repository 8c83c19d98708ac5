"""Reading protections, always within the actor's organisation."""

from django.db.models import QuerySet

from accounts.actors import READ, Actor
from protection.models import Protection


def protection_list(*, actor: Actor) -> QuerySet[Protection]:
    """The organisation's protections, newest first."""
    actor.require(READ)
    return Protection.objects.filter(organisation=actor.organisation).select_related(
        "source__model", "result__model", "commitment", "job"
    )
