"""Reading protections, always within the actor's organisation."""

from django.db.models import Q, QuerySet

from accounts.actors import READ, Actor
from protection.models import Editor, GuardClient, Protection, Rehearsal, Trial, Unlock


def protection_list(*, actor: Actor) -> QuerySet[Protection]:
    """The organisation's protections, newest first."""
    actor.require(READ)
    return Protection.objects.filter(organisation=actor.organisation).select_related(
        "source__model", "result__model", "commitment", "job"
    )


def guard_list(*, actor: Actor) -> QuerySet[Protection]:
    """Those of them that mark the answers of an API."""
    return protection_list(actor=actor).filter(kind=Protection.Kind.DYNAMIC)


def trigger_list(*, actor: Actor) -> QuerySet[Protection]:
    """Those of them that are trigger watermarks."""
    return protection_list(actor=actor).filter(kind=Protection.Kind.TRIGGER)


def feature_list(*, actor: Actor) -> QuerySet[Protection]:
    """Those of them that are external features."""
    return protection_list(actor=actor).filter(kind=Protection.Kind.FEATURE)


def client_list(*, actor: Actor) -> QuerySet[GuardClient]:
    """The clients of the organisation's guards, oldest first, with those that ended."""
    actor.require(READ)
    return GuardClient.objects.filter(guard__organisation=actor.organisation).select_related(
        "guard__source__model", "guard__commitment"
    )


def rehearsal_list(*, actor: Actor) -> QuerySet[Rehearsal]:
    """The attacks that the organisation ran on its own protections, newest first.

    With the false claims that it made for its versions.
    """
    actor.require(READ)
    return Rehearsal.objects.filter(
        Q(protection__organisation=actor.organisation)
        | Q(version__model__organisation=actor.organisation)
    ).select_related(
        "job", "protection__result__model", "protection__source__model", "version__model"
    )


def trial_list(*, actor: Actor) -> QuerySet[Trial]:
    """The spells that were tried in the organisation lately, newest first."""
    actor.require(READ)
    return Trial.objects.filter(version__model__organisation=actor.organisation).select_related(
        "job", "version__model"
    )


def editor_list(*, actor: Actor) -> QuerySet[Editor]:
    """The organisation's own editors of prompt locks, newest first; some are not trained yet."""
    actor.require(READ)
    return Editor.objects.filter(organisation=actor.organisation).select_related("job")


def unlock_list(*, actor: Actor) -> QuerySet[Unlock]:
    """The images that were given to the organisation's locked models lately, newest first."""
    actor.require(READ)
    return Unlock.objects.filter(protection__organisation=actor.organisation).select_related(
        "job", "protection__result__model"
    )
