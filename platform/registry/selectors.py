"""Reading the registry, always within the actor's organisation."""

import uuid

from django.db.models import Count, Max, QuerySet

from accounts.actors import READ, Actor
from registry.models import Commitment, Model, Version


def model_list(*, actor: Actor, search: str = "", tag: str = "") -> QuerySet[Model]:
    """Models by name, with the number of their versions and when the newest came."""
    actor.require(READ)
    models = Model.objects.filter(organisation=actor.organisation)
    if search:
        models = models.filter(name__icontains=search)
    if tag:
        models = models.filter(tags__contains=[tag.strip().lower()])
    # Said here, for a grouped query forgets the model's own order.
    return models.annotate(
        version_count=Count("versions"), newest=Max("versions__created_at")
    ).order_by("name")


def tag_list(*, actor: Actor) -> list[str]:
    """The tags in use, by name."""
    actor.require(READ)
    rows = Model.objects.filter(organisation=actor.organisation).values_list("tags", flat=True)
    return sorted({tag for tags in rows for tag in tags})


def version_list(*, actor: Actor) -> QuerySet[Version]:
    """Versions of the organisation's models, newest first."""
    actor.require(READ)
    return (
        Version.objects.filter(model__organisation=actor.organisation)
        .select_related("model", "parent__model")
        .order_by("model__name", "-number")
    )


def commitment_list(*, actor: Actor) -> QuerySet[Commitment]:
    """Commitments of the organisation's versions, newest first."""
    actor.require(READ)
    return Commitment.objects.filter(
        version__model__organisation=actor.organisation
    ).select_related("version__model")


def version_lineage(version: Version) -> list[Version]:
    """The version and what it was made from, oldest first."""
    line, seen = [version], {version.id}
    while (parent := line[0].parent) is not None and parent.id not in seen:
        line.insert(0, parent)
        seen.add(parent.id)
    return line


def version_get(*, actor: Actor, version_id: uuid.UUID) -> Version:
    """One version. Raises Version.DoesNotExist."""
    return version_list(actor=actor).get(id=version_id)


def file_root_digests(sha256: str) -> list[str]:
    """The root digests of the published versions that hold a file with this digest.

    Of all organisations: it is for what is public, so nothing else about the versions is told.
    """
    versions = Version.objects.filter(state=Version.State.PUBLISHED, files__sha256=sha256)
    return list(versions.values_list("root_digest", flat=True).distinct())
