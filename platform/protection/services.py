"""What makes protections."""

import uuid
from pathlib import Path
from typing import Any

from django.db import transaction

from accounts.actors import WRITE, Actor
from jobs.models import Job
from jobs.services import job_create, job_finish
from protection.models import Protection
from registry.models import Commitment, Version
from registry.services import file_upload, version_create, version_publish
from registry.storage import CHUNK
from spellmark.errors import SpellmarkError
from spellmark.locks.key_lock.transforms import SHUFFLE, Geometry
from spellmark.secrets import KeyFile

LOCK_JOB = "key-lock"


class ProtectionError(SpellmarkError):
    """A protection that cannot be made."""


def check_opens(key: KeyFile, commitment: Commitment) -> None:
    """Raise ProtectionError unless this key file is the one that was committed to."""
    told = (key.scheme, dict(key.parameters), key.commitment())
    if told != (commitment.scheme, commitment.parameters, commitment.digest):
        raise ProtectionError(
            "This key file does not open the registered commitment.",
            hint="Choose the key file that was saved when the commitment "
            f"{commitment.digest[:12]}… was made.",
        )


@transaction.atomic
def key_lock_create(
    *,
    actor: Actor,
    commitment: Commitment,
    key: KeyFile,
    dataset: str,
    epochs: int = 8,
    images: int = 6000,
    wrong_keys: int = 100,
) -> Protection:
    """Start the job that locks the commitment's version under its key. Raises ProtectionError."""
    actor.require(WRITE)
    version = commitment.version
    check_opens(key, commitment)
    geometry = lock_geometry(version, commitment)
    settings = {
        "block": geometry.block,
        "epochs": epochs,
        "images": images,
        "wrongKeys": wrong_keys,
    }
    protection_id = uuid.uuid4()
    job = job_create(
        organisation_id=actor.organisation.id,
        kind=LOCK_JOB,
        title=f"Lock {version}",
        queue="gpu",
        payload={"protection": str(protection_id)},
        created_by=actor.name,
        secret={"key": key.dumps()},
    )
    return Protection.objects.create(
        id=protection_id,
        organisation=actor.organisation,
        kind=Protection.Kind.KEY_LOCK,
        source=version,
        commitment=commitment,
        dataset=dataset,
        settings=settings,
        job=job,
        created_by=actor.name,
    )


def lock_geometry(version: Version, commitment: Commitment) -> Geometry:
    """The block geometry of a lock on this version. Raises ProtectionError, KeyLockError."""
    if commitment.scheme != SHUFFLE:
        raise ProtectionError(
            f"The commitment is for {commitment.scheme}, not for a key lock.",
            hint=f"Commit to a key of the scheme {SHUFFLE}.",
        )
    if version.card is None:
        raise ProtectionError(
            f"{version} carries no model card, so its architecture is not known.",
            hint="Publish a safetensors file that was saved with a Spellmark model card.",
        )
    card = version.card
    block = commitment.parameters.get("block")
    if not isinstance(block, int):
        raise ProtectionError("The commitment names no block size.", hint="Commit with one.")
    return Geometry(card["channels"], card["height"], card["width"], block)


def key_lock_finish(
    *, protection: Protection, job: Job, locked: Path, report_card: dict[str, Any]
) -> None:
    """Register the locked model as a new version, with its report card, and end the job."""
    actor = Actor(protection.organisation, protection.created_by, frozenset({WRITE}))

    def record() -> None:
        version = version_create(
            actor=actor,
            model=protection.source.model,
            parent=protection.source,
            derivation=protection.kind,
            notes=f"Locked under {protection.commitment}",
        )
        with locked.open("rb") as file:
            file_upload(
                actor=actor,
                version=version,
                name="model.safetensors",
                chunks=iter(lambda: file.read(CHUNK), b""),
            )
        protection.result = version_publish(
            actor=actor, version=version, commitment=protection.commitment
        )
        protection.report_card = report_card
        protection.save(update_fields=["result", "report_card"])

    job_finish(job=job, record=record)
