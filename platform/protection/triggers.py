"""Trigger watermarks: a version that learns derived triggers, and the root that commits to them."""

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.db import transaction
from django.utils import timezone

from accounts.actors import WRITE, Actor
from jobs.models import Job
from jobs.services import job_create, job_finish
from ledger.services import certificate_issue
from protection.errors import ProtectionError
from protection.models import Protection
from protection.services import card_of, check_opens, register_result
from registry.models import Commitment, Version
from registry.services import REGISTRATION
from spellmark.certificates.statements import Registration
from spellmark.secrets import KeyFile
from spellmark.watermarks.trigger import SCHEME, TriggerKey, TriggerParameters

TRIGGER_JOB = "trigger-watermark"

USUAL_IMAGES, USUAL_EPOCHS = 6000, 10
LEAST_IMAGES, MOST_IMAGES = 100, 1_000_000
MOST_EPOCHS = 1000


def trigger_parameters(version: Version, commitment: Commitment) -> TriggerParameters:
    """What a trigger watermark under this commitment promises, checked against the version.

    Raises ProtectionError and TriggerMarkError where it cannot be done.
    """
    card = card_of(version)
    if commitment.scheme != SCHEME:
        raise ProtectionError(
            f"The commitment is for {commitment.scheme}, which is no trigger watermark.",
            hint=f"Commit to a key of the scheme {SCHEME}.",
        )
    parameters = TriggerParameters.from_dict(commitment.parameters)
    wanted = (card["channels"], card["height"], card["width"]), card["classes"]
    if (parameters.shape, parameters.classes) != wanted:
        raise ProtectionError(
            f"The key is for images of {parameters.shape} in {parameters.classes} classes; "
            f"{version} takes {wanted[0]} in {wanted[1]}.",
            hint="Make a key for this version.",
        )
    return parameters


def opened_trigger(protection: Protection, key: KeyFile) -> TriggerKey:
    """The opened key of a trigger watermark. Raises what `check_opens` raises."""
    check_opens(key, protection.commitment)
    return TriggerKey.open(
        key,
        owner=str(protection.organisation_id),
        binding=bytes.fromhex(protection.commitment.binding),
    )


@transaction.atomic
def trigger_create(
    *,
    actor: Actor,
    commitment: Commitment,
    key: KeyFile,
    dataset: str,
    images: int = USUAL_IMAGES,
    epochs: int = USUAL_EPOCHS,
) -> Protection:
    """Start the job that teaches the commitment's version its triggers.

    images, epochs: of the data set's training images, how many to train on and how often. Raises
    ProtectionError and TriggerMarkError.
    """
    actor.require(WRITE)
    version = commitment.version
    check_opens(key, commitment)
    trigger_parameters(version, commitment)
    if not LEAST_IMAGES <= images <= MOST_IMAGES or not 1 <= epochs <= MOST_EPOCHS:
        raise ProtectionError(
            f"Training takes {LEAST_IMAGES:,} to {MOST_IMAGES:,} images and 1 to {MOST_EPOCHS:,} "
            "rounds.",
            hint="Correct them and try again.",
        )
    # So that two requests at once make one.
    Version.objects.select_for_update().get(id=version.id)
    if is_marking(commitment):
        raise ProtectionError(
            "There is a watermark under this key already: its triggers are the same.",
            hint="Use it, or make a new key.",
        )
    protection_id = uuid.uuid4()
    job = job_create(
        organisation_id=actor.organisation.id,
        kind=TRIGGER_JOB,
        title=f"Watermark {version}",
        queue="gpu",
        payload={"protection": str(protection_id)},
        created_by=actor.name,
        secret={"key": key.dumps()},
    )
    return Protection.objects.create(
        id=protection_id,
        organisation=actor.organisation,
        kind=Protection.Kind.TRIGGER,
        source=version,
        commitment=commitment,
        dataset=dataset,
        settings={"images": images, "epochs": epochs},
        job=job,
        created_by=actor.name,
    )


def trigger_finish(
    *, protection: Protection, job: Job, marked: Path, root: str, report_card: Mapping[str, Any]
) -> None:
    """Register the marked model as a new version and the root of its triggers, and end the job."""

    def record() -> None:
        register_result(protection, marked, notes=f"Watermarked under {protection.commitment}")
        protection.report_card = dict(report_card)
        protection.settings["root"] = root
        protection.certificate_id = _register(protection, root)
        protection.save(update_fields=["result", "report_card", "settings", "certificate_id"])

    job_finish(job=job, record=record)


def is_marking(commitment: Commitment) -> bool:
    """Whether there is a watermark under this commitment, or may be yet."""
    ended = (Job.State.FAILED, Job.State.CANCELLED)
    found: bool = commitment.protections.exclude(job__state__in=ended).exists()
    return found


def _register(protection: Protection, root: str) -> uuid.UUID:
    """The certificate by which the triggers stand in the log, before anyone is asked about one."""
    version, commitment = protection.result, protection.commitment
    assert version is not None
    certificate = certificate_issue(
        organisation_id=protection.organisation_id,
        kind=REGISTRATION,
        title=f"{version}: triggers under {commitment.digest[:12]}…",
        statement=Registration(
            model_digest=version.root_digest,
            model_name=version.model.name,
            version=version.number,
            organisation=protection.organisation.name,
            commitment=commitment.digest,
            binding=commitment.binding,
            scheme=commitment.scheme,
            parameters={
                **commitment.parameters,
                "owner": str(protection.organisation_id),
                "triggerRoot": root,
            },
            registered_at=timezone.now(),
        ),
    )
    made: uuid.UUID = certificate.id
    return made
