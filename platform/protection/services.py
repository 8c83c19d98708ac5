"""What makes protections."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.db import transaction
from django.utils import timezone

from accounts.actors import WRITE, Actor
from jobs.models import Job
from jobs.services import job_create, job_finish
from protection.attacks import ATTACKS
from protection.editors import editor_path
from protection.errors import ProtectionError
from protection.models import Protection, Rehearsal, Trial
from registry.models import Commitment, Version
from registry.services import file_upload, version_create, version_publish
from registry.storage import CHUNK
from spellmark.attacks.key_lock.catalogue import BUDGETS
from spellmark.locks.key_lock.parameters import SCHEME as KEY_LOCK
from spellmark.locks.key_lock.parameters import Geometry, LockParameters, lock_geometry
from spellmark.locks.key_lock.settings import (
    LEAST_WRONG_KEYS,
    USUAL_SEEDS,
    check_wrong_keys,
    rounds_for,
)
from spellmark.locks.prompt_lock.parameters import SCHEME as PROMPT_LOCK
from spellmark.locks.prompt_lock.parameters import PromptLockParameters
from spellmark.locks.prompt_lock.policies import POLICIES, UNIFORM
from spellmark.secrets import KeyFile

LOCK_JOB = "key-lock"
PROMPT_LOCK_JOB = "prompt-lock"
THEFT_JOB = "guard-thefts"
REMOVAL_JOB = "trigger-removals"
ATTACKS_JOBS = {
    "key-lock": "key-lock-attacks",
    "prompt-lock": "prompt-lock-attacks",
    "dynamic": THEFT_JOB,
    "trigger": REMOVAL_JOB,
}
TRIAL_JOB = "spell-trial"

# Long enough to look at, short enough not to lie about.
TRIALS_KEPT = timedelta(hours=1)
MOST_PROMPT_LETTERS = 500

# An editor is a hundred times slower than a key's transform.
LEAST_WRONG_SPELLS = 100
MOST_SEEDS = 10

KINDS = {KEY_LOCK: Protection.Kind.KEY_LOCK, PROMPT_LOCK: Protection.Kind.PROMPT_LOCK}


def check_opens(key: KeyFile, commitment: Commitment) -> None:
    """Raise ProtectionError unless this key file is the one that was committed to."""
    told = (key.scheme, dict(key.parameters), key.commitment())
    if told != (commitment.scheme, commitment.parameters, commitment.digest):
        raise ProtectionError(
            "This key file does not open the registered commitment.",
            hint="Choose the key file that was saved when the commitment "
            f"{commitment.digest[:12]}… was made.",
        )


def lock_parameters(
    version: Version, commitment: Commitment
) -> LockParameters | PromptLockParameters:
    """What a lock under this commitment does to the version's images.

    Raises ProtectionError, KeyLockError and PromptLockError where it cannot be done.
    """
    card = card_of(version)
    if commitment.scheme == PROMPT_LOCK:
        parameters = PromptLockParameters.from_dict(commitment.parameters)
        editor_path(version.model.organisation_id, parameters.editor)
        return parameters
    if commitment.scheme != KEY_LOCK:
        raise ProtectionError(
            f"The commitment is for {commitment.scheme}, which is no lock.",
            hint=f"Commit to a key of the scheme {KEY_LOCK} or {PROMPT_LOCK}.",
        )
    blocks = LockParameters.from_dict(commitment.parameters)
    geometry_of(blocks, card)
    return blocks


def card_of(version: Version) -> dict[str, Any]:
    """The version's model card. Raises ProtectionError."""
    if version.card is None:
        raise ProtectionError(
            f"{version} carries no model card, so its architecture is not known.",
            hint="Publish a safetensors file that was saved with a Spellmark model card.",
        )
    return version.card


def geometry_of(parameters: LockParameters, card: Mapping[str, Any]) -> Geometry:
    """How the blocks lie in the images of a model card. Raises KeyLockError."""
    shape = (card["channels"], card["height"], card["width"])
    return lock_geometry(parameters, shape, card["architecture"])


def key_lock_create(
    *,
    actor: Actor,
    commitment: Commitment,
    key: KeyFile,
    dataset: str,
    epochs: int | None = None,
    images: int = 6000,
    wrong_keys: int = LEAST_WRONG_KEYS,
    seeds: int = USUAL_SEEDS,
) -> Protection:
    """Start the job that locks the commitment's version under its key.

    It is trained and measured from `seeds` seeds; the model of the first is registered. Without
    `epochs` it is trained for as many rounds as that number of images asks for. Raises
    ProtectionError and KeyLockError.
    """
    check_wrong_keys(wrong_keys)
    rounds = rounds_for(images) if epochs is None else epochs
    settings = {"epochs": rounds, "images": images, "wrongKeys": wrong_keys, "seeds": seeds}
    return _lock_create(LOCK_JOB, KEY_LOCK, actor, commitment, key, dataset, settings)


def prompt_lock_create(
    *,
    actor: Actor,
    commitment: Commitment,
    key: KeyFile,
    dataset: str,
    epochs: int = 12,
    images: int = 12_000,
    wrong_keys: int = LEAST_WRONG_SPELLS,
    seeds: int = USUAL_SEEDS,
    negatives: str = UNIFORM,
) -> Protection:
    """Start the job that locks the commitment's version under its spell.

    negatives: what the model learns without the spell, one of POLICIES. Otherwise as
    `key_lock_create`; raises ProtectionError and PromptLockError.
    """
    if negatives not in POLICIES:
        raise ProtectionError(
            f"There are no “{negatives}” negatives.", hint=f"Choose one of: {', '.join(POLICIES)}."
        )
    settings = {
        "epochs": epochs, "images": images, "wrongKeys": wrong_keys, "seeds": seeds,
        "negatives": negatives,
    }  # fmt: skip
    return _lock_create(PROMPT_LOCK_JOB, PROMPT_LOCK, actor, commitment, key, dataset, settings)


@transaction.atomic
def _lock_create(
    job_kind: str,
    scheme: str,
    actor: Actor,
    commitment: Commitment,
    key: KeyFile,
    dataset: str,
    settings: Mapping[str, int | str],
) -> Protection:
    actor.require(WRITE)
    version = commitment.version
    if card_of(version).get("extra_classes"):
        raise ProtectionError(
            f"{version} is locked already, and has a class for whoever lacks the spell.",
            hint="Lock the version that it was made from.",
        )
    check_opens(key, commitment)
    lock_parameters(version, commitment)
    if commitment.scheme != scheme:
        raise ProtectionError(
            f"The commitment is for {commitment.scheme}, not for {scheme}.",
            hint="Choose the lock that the key was made for.",
        )
    protection_id = uuid.uuid4()
    job = job_create(
        organisation_id=actor.organisation.id,
        kind=job_kind,
        title=f"Lock {version}",
        queue="gpu",
        payload={"protection": str(protection_id)},
        created_by=actor.name,
        secret={"key": key.dumps()},
    )
    return Protection.objects.create(
        id=protection_id,
        organisation=actor.organisation,
        kind=KINDS[scheme],
        source=version,
        commitment=commitment,
        dataset=dataset,
        settings=settings,
        job=job,
        created_by=actor.name,
    )


def lock_finish(
    *, protection: Protection, job: Job, locked: Path, report_card: dict[str, Any]
) -> None:
    """Register the locked model as a new version, with its report card, and end the job."""

    def record() -> None:
        register_result(protection, locked, notes=f"Locked under {protection.commitment}")
        protection.report_card = report_card
        protection.save(update_fields=["result", "report_card"])

    job_finish(job=job, record=record)


def register_result(protection: Protection, weights: Path, *, notes: str) -> None:
    """Publish what a job made of the source version as a new one: the protection's result.

    The protection is not saved yet.
    """
    actor = Actor(protection.organisation, protection.created_by, frozenset({WRITE}))
    version = version_create(
        actor=actor,
        model=protection.source.model,
        parent=protection.source,
        derivation=protection.kind,
        notes=notes,
    )
    with weights.open("rb") as file:
        file_upload(
            actor=actor,
            version=version,
            name="model.safetensors",
            chunks=iter(lambda: file.read(CHUNK), b""),
        )
    protection.result = version_publish(
        actor=actor, version=version, commitment=protection.commitment
    )


@transaction.atomic
def attacks_create(
    *,
    actor: Actor,
    protection: Protection,
    key: KeyFile,
    dataset: str,
    other_dataset: str = "",
    attacks: Sequence[str] | None = None,
    budget: str = "quick",
) -> Rehearsal:
    """Start the job that attacks a finished protection as a thief would. Raises ProtectionError.

    attacks: names from the catalogue for this kind of protection; left out, all of them.
    other_dataset: of images unlike the owner's, which a thief asks a guarded API about; left out,
    they are made from his own.
    The key file is needed to lock the images with which a thief is caught or measured, or to mark
    the answers that he gets; none of the attacks is told it.
    """
    actor.require(WRITE)
    check_opens(key, protection.commitment)
    version = protection.protected_version
    if version is None:
        raise ProtectionError(
            "This protection is not finished, so there is nothing to attack.",
            hint="Wait for its job.",
        )
    known = ATTACKS.get(protection.kind)
    if known is None:
        raise ProtectionError(
            "There are no attacks to rehearse on this kind of protection.",
            hint="Its documentation has what was measured.",
        )
    if other_dataset and protection.kind != Protection.Kind.DYNAMIC:
        raise ProtectionError(
            "Only a theft from a guarded API asks about a second data set.", hint="Leave it out."
        )
    chosen = set(known if attacks is None else attacks)
    if not chosen or chosen - known.keys() or budget not in BUDGETS:
        raise ProtectionError(
            "There is no such attack or budget.",
            hint=f"Attacks: {', '.join(known)}. Budgets: {', '.join(BUDGETS)}.",
        )
    rehearsal_id = uuid.uuid4()
    job = job_create(
        organisation_id=actor.organisation.id,
        kind=ATTACKS_JOBS[protection.kind],
        title=f"Attack {version}",
        queue="gpu",
        payload={"rehearsal": str(rehearsal_id)},
        created_by=actor.name,
        secret={"key": key.dumps()},
    )
    return Rehearsal.objects.create(
        id=rehearsal_id,
        protection=protection,
        dataset=dataset,
        other_dataset=other_dataset,
        attacks=[name for name in known if name in chosen],
        budget=budget,
        job=job,
        created_by=actor.name,
    )


def attacks_finish(*, rehearsal: Rehearsal, job: Job, results: list[dict[str, Any]]) -> None:
    """Keep what the attacks reached, and end the job."""

    def record() -> None:
        rehearsal.results = results
        rehearsal.save(update_fields=["results"])

    job_finish(job=job, record=record)


@transaction.atomic
def trial_create(
    *, actor: Actor, version: Version, parameters: PromptLockParameters, prompt: str, dataset: str
) -> Trial:
    """Start the job that shows what a spell does to test images. Raises ProtectionError."""
    actor.require(WRITE)
    card_of(version)
    editor_path(version.model.organisation_id, parameters.editor)
    if not prompt.strip() or len(prompt) > MOST_PROMPT_LETTERS:
        raise ProtectionError(
            f"A spell has 1 to {MOST_PROMPT_LETTERS} letters.", hint="Type one and try it again."
        )
    trial_id = uuid.uuid4()
    job = job_create(
        organisation_id=actor.organisation.id,
        kind=TRIAL_JOB,
        title=f"Try a spell on {version}",
        queue="gpu",
        payload={"trial": str(trial_id)},
        created_by=actor.name,
        secret={"prompt": prompt},
    )
    return Trial.objects.create(
        id=trial_id,
        version=version,
        dataset=dataset,
        parameters=parameters.as_dict(),
        job=job,
        created_by=actor.name,
    )


def trial_finish(*, trial: Trial, job: Job, sheet: bytes, change: float) -> None:
    """Keep what the spell did, and end the job."""

    def record() -> None:
        trial.sheet, trial.change = sheet, change
        trial.save(update_fields=["sheet", "change"])

    job_finish(job=job, record=record)


def trials_forget() -> None:
    """Erase the trials that nobody looks at any more; their jobs stay, which tell nothing."""
    Trial.objects.filter(created_at__lt=timezone.now() - TRIALS_KEPT).delete()
