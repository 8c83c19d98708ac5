"""Reading suspects, runs and their evidence, always within the actor's organisation.

The log alone is everybody's: an earlier registration counts whoever made it.
"""

from django.db.models import QuerySet

from accounts.actors import AUDIT, READ, Actor
from ledger.models import Certificate
from ledger.selectors import (
    certificate_entries,
    certificate_file,
    certificate_proof,
    certificate_revocations,
    checkpoint_latest,
)
from registry import storage
from registry.models import Version
from spellmark.certificates.bundle import Bundle
from spellmark.errors import SpellmarkError
from verification.models import Reference, Run, Suspect


class NoEvidenceError(SpellmarkError):
    """Evidence of a run that has none."""


def suspect_list(*, actor: Actor) -> QuerySet[Suspect]:
    """The organisation's suspects, newest first."""
    actor.require(READ)
    return Suspect.objects.filter(organisation=actor.organisation)


def run_list(*, actor: Actor) -> QuerySet[Run]:
    """The organisation's runs, newest first."""
    actor.require(READ, AUDIT)
    return Run.objects.filter(organisation=actor.organisation).select_related(
        "suspect", "protection__source__model", "protection__result__model", "version__model", "job"
    )


def reference_list(*, actor: Actor) -> QuerySet[Reference]:
    """The models of the organisation's null pool, newest first."""
    actor.require(READ)
    return Reference.objects.filter(organisation=actor.organisation).select_related(
        "version__model", "job"
    )


def earlier_registration(run: Run) -> int | None:
    """The log entry by which another organisation registered the suspect's very file before the
    run's own registration; None where there is none, or the owner registered the file earlier yet.

    Only of a file is it known which model the suspect is.
    """
    if not run.suspect.sha256:
        return None
    versions = Version.objects.filter(
        files__sha256=run.suspect.sha256, certificate_id__isnull=False
    )
    owners = dict(versions.values_list("certificate_id", "model__organisation"))
    certificates = Certificate.objects.filter(id__in=owners, revocation__isnull=True)
    entries = certificate_entries(certificates, checkpoint_latest())
    places = {entry.index: owners[id_] for id_, entry in entries.items()}
    first = min(places, default=None)
    if first is None or first >= run.registration_index or places[first] == run.organisation_id:
        return None
    return first


def run_bundle(run: Run) -> Bundle:
    """The evidence bundle of a finished run. Raises NoEvidenceError, NotYetLoggedError."""
    if run.certificate_id is None:
        raise NoEvidenceError(
            "This run has no certificate.", hint="Only runs that reached a verdict have one."
        )
    certificate = Certificate.objects.get(id=run.certificate_id)
    digests = {
        line["answer_sha256"]
        for line in run.exchanges.values_list("line", flat=True)
        if line["answer_sha256"]
    }
    return Bundle(
        certificate=certificate_file(certificate),
        proof=certificate_proof(certificate).dumps(),
        revocations=certificate_revocations(certificate),
        transcript=storage.get(run.transcript_sha256),
        answers={digest: storage.get(digest) for digest in digests},
    )
