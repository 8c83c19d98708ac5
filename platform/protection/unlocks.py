"""Using a locked model with its key, one image at a time, as its owner's customers do."""

import base64
import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, BinaryIO

from django.db import transaction
from django.utils import timezone

from accounts.actors import READ, Actor
from jobs.models import Job
from jobs.services import job_create, job_finish
from protection.errors import ProtectionError
from protection.models import Protection, Unlock
from protection.services import card_of, check_opens
from spellmark.model_files.pictures import take_picture
from spellmark.secrets import KeyFile

UNLOCK_JOB = "unlock"

UNLOCKS_KEPT = timedelta(hours=1)
# Whoever may read may ask, and shall not keep the workers from the locks.
MOST_WAITING = 20
TOLD_CLASSES = 5


@transaction.atomic
def unlock_create(*, actor: Actor, protection: Protection, key: KeyFile, image: BinaryIO) -> Unlock:
    """Start the job that asks a locked model about an image, with its key and without.

    The image is made one that the model takes at once, and goes to the worker sealed beside the
    key. Raises ProtectionError and PictureError.
    """
    actor.require(READ)
    if protection.kind == Protection.Kind.DYNAMIC:
        raise ProtectionError(
            "A guard locks nothing, so there is nothing to unlock.", hint="Ask the API itself."
        )
    if protection.kind in (Protection.Kind.TRIGGER, Protection.Kind.FEATURE):
        raise ProtectionError(
            "A watermark locks nothing, so there is nothing to unlock.",
            hint="Use the model as it is.",
        )
    check_opens(key, protection.commitment)
    if protection.result is None:
        raise ProtectionError(
            "This lock is not finished, so there is no model to use.", hint="Wait for its job."
        )
    waiting = Job.objects.filter(
        organisation_id=actor.organisation.id,
        kind=UNLOCK_JOB,
        state__in=(Job.State.QUEUED, Job.State.RUNNING),
    )
    if waiting.count() >= MOST_WAITING:
        raise ProtectionError(
            f"{MOST_WAITING} images of your organisation wait for a worker already.",
            hint="Wait until some are answered.",
        )
    card = card_of(protection.result)
    picture = take_picture(image, (card["channels"], card["height"], card["width"]))
    unlock_id = uuid.uuid4()
    job = job_create(
        organisation_id=actor.organisation.id,
        kind=UNLOCK_JOB,
        title=f"Use {protection.result} with its key",
        queue="gpu",
        payload={"unlock": str(unlock_id)},
        created_by=actor.name,
        secret={"key": key.dumps(), "image": base64.b64encode(picture.as_png()).decode()},
    )
    return Unlock.objects.create(
        id=unlock_id,
        protection=protection,
        source={"width": picture.width, "height": picture.height, "colour": picture.is_colour},
        job=job,
        created_by=actor.name,
    )


def unlock_finish(
    *,
    unlock: Unlock,
    job: Job,
    picture: bytes,
    with_key: Sequence[float],
    without_key: Sequence[float],
) -> None:
    """Keep the most likely of the probabilities of all classes, and end the job."""
    names = card_of(unlock.protection.result)["label_names"]

    def record() -> None:
        unlock.picture = picture
        unlock.with_key, unlock.without_key = _likely(with_key, names), _likely(without_key, names)
        unlock.save(update_fields=["picture", "with_key", "without_key"])

    job_finish(job=job, record=record)


def unlocks_forget() -> None:
    """Erase the answers that nobody looks at any more; their jobs stay, which tell nothing."""
    Unlock.objects.filter(job__finished_at__lt=timezone.now() - UNLOCKS_KEPT).delete()


def changes(unlock: Unlock) -> list[str]:
    """How the file's image was made one that the model takes, in sentences; none if it was one."""
    card, source = card_of(unlock.protection.result), unlock.source
    width, height = card["width"], card["height"]
    told = []
    if (source["width"], source["height"]) != (width, height):
        shape = (
            "" if source["width"] * height == source["height"] * width else ", not in proportion"
        )
        told.append(
            f"It was {source['width']}×{source['height']} pixels; the model takes "
            f"{width}×{height}, so it was resized{shape}."
        )
    if source["colour"] and card["channels"] == 1:
        told.append("Its colours were turned into grey, which is all that the model takes.")
    return told


def _likely(probabilities: Sequence[float], names: Sequence[str]) -> list[dict[str, Any]]:
    best = sorted(range(len(probabilities)), key=lambda c: -probabilities[c])[:TOLD_CLASSES]
    return [
        {
            "label": c,
            "name": names[c] if names else f"class {c}",
            "probability": round(float(probabilities[c]), 4),
        }
        for c in best
    ]
