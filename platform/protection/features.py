"""External features: a version that learnt a secret style, with every label unchanged."""

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.db import transaction

from accounts.actors import WRITE, Actor
from jobs.models import Job
from jobs.services import job_create, job_finish
from protection.errors import ProtectionError
from protection.models import Protection
from protection.services import card_of, check_opens, register_result
from registry.models import Commitment, Version
from spellmark.secrets import KeyFile
from spellmark.watermarks.external_feature.parameters import SCHEME, FeatureParameters
from spellmark.watermarks.external_feature.settings import USUAL_SHARE, check_share

FEATURE_JOB = "external-feature"

USUAL_IMAGES, USUAL_EPOCHS = 6000, 8
LEAST_IMAGES, MOST_IMAGES = 100, 1_000_000
MOST_EPOCHS = 1000


def feature_parameters(version: Version, commitment: Commitment) -> FeatureParameters:
    """What an external feature under this commitment is, checked against the version.

    Raises ProtectionError and FeatureError where it cannot be done.
    """
    card = card_of(version)
    if commitment.scheme != SCHEME:
        raise ProtectionError(
            f"The commitment is for {commitment.scheme}, which is no external feature.",
            hint=f"Commit to a key of the scheme {SCHEME}.",
        )
    parameters = FeatureParameters.from_dict(commitment.parameters)
    wanted = (card["channels"], card["height"], card["width"]), card["classes"]
    if (parameters.shape, parameters.classes) != wanted:
        raise ProtectionError(
            f"The key is for images of {parameters.shape} in {parameters.classes} classes; "
            f"{version} takes {wanted[0]} in {wanted[1]}.",
            hint="Make a key for this version.",
        )
    return parameters


@transaction.atomic
def feature_create(
    *,
    actor: Actor,
    commitment: Commitment,
    key: KeyFile,
    dataset: str,
    images: int = USUAL_IMAGES,
    epochs: int = USUAL_EPOCHS,
    share: int = USUAL_SHARE,
) -> Protection:
    """Start the job that teaches the commitment's version the key's style.

    images, epochs: of the data set's training images, how many to train on and how often. share: of
    them that are restyled, in percent. Raises ProtectionError and FeatureError.
    """
    actor.require(WRITE)
    version = commitment.version
    check_opens(key, commitment)
    feature_parameters(version, commitment)
    check_share(share)
    if not LEAST_IMAGES <= images <= MOST_IMAGES or not 1 <= epochs <= MOST_EPOCHS:
        raise ProtectionError(
            f"Training takes {LEAST_IMAGES:,} to {MOST_IMAGES:,} images and 1 to {MOST_EPOCHS:,} "
            "rounds.",
            hint="Correct them and try again.",
        )
    # So that two requests at once make one.
    Version.objects.select_for_update().get(id=version.id)
    if is_taught(commitment):
        raise ProtectionError(
            "A version learns, or has learnt, the style of this key already.",
            hint="Use that one, or make a new key.",
        )
    protection_id = uuid.uuid4()
    job = job_create(
        organisation_id=actor.organisation.id,
        kind=FEATURE_JOB,
        title=f"Teach {version} a style",
        queue="gpu",
        payload={"protection": str(protection_id)},
        created_by=actor.name,
        secret={"key": key.dumps()},
    )
    return Protection.objects.create(
        id=protection_id,
        organisation=actor.organisation,
        kind=Protection.Kind.FEATURE,
        source=version,
        commitment=commitment,
        dataset=dataset,
        settings={"images": images, "epochs": epochs, "share": share},
        job=job,
        created_by=actor.name,
    )


def feature_finish(
    *, protection: Protection, job: Job, marked: Path, report_card: Mapping[str, Any]
) -> None:
    """Register the restyled model as a new version, with its report card, and end the job."""

    def record() -> None:
        register_result(protection, marked, notes=f"Learnt the style of {protection.commitment}")
        protection.report_card = dict(report_card)
        protection.save(update_fields=["result", "report_card"])

    job_finish(job=job, record=record)


def is_taught(commitment: Commitment) -> bool:
    """Whether a version has learnt the style under this commitment, or may yet."""
    ended = (Job.State.FAILED, Job.State.CANCELLED)
    found: bool = commitment.protections.exclude(job__state__in=ended).exists()
    return found
