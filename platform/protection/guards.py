"""Guards: the dynamic watermark in front of a prediction API, its clients, and its next key."""

import json
import secrets
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from accounts.actors import WRITE, Actor
from config.validation import validate
from jobs.models import Job
from jobs.services import job_create, job_finish
from ledger.services import certificate_issue
from protection.errors import ProtectionError
from protection.models import GuardClient, Protection
from protection.services import card_of, check_opens
from registry.models import Commitment, Version
from registry.services import REGISTRATION
from spellmark.certificates.statements import Registration
from spellmark.secrets import KeyFile
from spellmark.watermarks.dynamic import SCHEME, GuardFile, MarkKey, MarkParameters
from spellmark.watermarks.dynamic.guard_file import FORMAT, MOST_DECIMALS

GUARD_JOB = "guard"

USUAL_IMAGES = 6000
LEAST_IMAGES, MOST_IMAGES = 100, 1_000_000
# So long both keys may be met in copies: the old one's answers are still on their way.
USUAL_OVERLAP_DAYS = 30
MOST_OVERLAP_DAYS = 3650


def guard_parameters(version: Version, commitment: Commitment) -> MarkParameters:
    """What a guard under this commitment does to the version's answers.

    Raises ProtectionError and DynamicMarkError where it cannot be done.
    """
    card = card_of(version)
    if commitment.scheme != SCHEME:
        raise ProtectionError(
            f"The commitment is for {commitment.scheme}, which is no guard.",
            hint=f"Commit to a key of the scheme {SCHEME}.",
        )
    parameters = MarkParameters.from_dict(commitment.parameters)
    if parameters.classes != card["classes"]:
        raise ProtectionError(
            f"The key is for {parameters.classes} classes; {version} has {card['classes']}.",
            hint="Make a key for this version.",
        )
    return parameters


def opened_guard(
    guard: Protection, key: KeyFile, *, client: str = "", client_binding: str = ""
) -> MarkKey:
    """The opened key of a guard, or of one of its clients. Raises what `check_opens` raises."""
    check_opens(key, guard.commitment)
    return MarkKey.open(
        key,
        binding=bytes.fromhex(guard.commitment.binding),
        client=client,
        client_binding=bytes.fromhex(client_binding),
    )


@transaction.atomic
def guard_create(
    *,
    actor: Actor,
    commitment: Commitment,
    key: KeyFile,
    dataset: str,
    images: int = USUAL_IMAGES,
    decimals: int | None = None,
    top_k: int | None = None,
) -> Protection:
    """Start the job that measures a guard on the commitment's version.

    images: of the data set's training images, how many to make copies without a mark from, and to
    cut the cells by; which ones is drawn here. decimals, top_k: how
    the API shortens its answers, if it does. Raises ProtectionError and DynamicMarkError.
    """
    return _guard_create(actor, commitment, key, dataset, images, decimals, top_k)


@transaction.atomic
def guard_rotate(
    *,
    actor: Actor,
    guard: Protection,
    commitment: Commitment,
    key: KeyFile,
    dataset: str = "",
    images: int = USUAL_IMAGES,
    overlap_days: int = USUAL_OVERLAP_DAYS,
) -> Protection:
    """Start the job that measures a guard with a new key; then the old one's end is set.

    The old one ends `overlap_days` after the new one begins, so that a job that fails ends nothing.
    Its clients get bits under the new key. The data set and how answers are shortened stay as they
    were unless given. Raises ProtectionError and DynamicMarkError.
    """
    actor.require(WRITE)
    guard = Protection.objects.select_for_update().get(id=guard.id)
    _check_finished(guard)
    if not 0 < overlap_days <= MOST_OVERLAP_DAYS:
        raise ProtectionError(
            f"Two guards overlap for 1 to {MOST_OVERLAP_DAYS:,} days.",
            hint=f"{USUAL_OVERLAP_DAYS} suit most.",
        )
    if commitment.version_id != guard.source_id:
        raise ProtectionError(
            "The new key is committed to for another version.",
            hint=f"Commit to it for {guard.source}.",
        )
    if guard.valid_until is not None or _alive(guard.successors):
        raise ProtectionError(
            "This guard has a successor already.", hint="Replace that one, when it is measured."
        )
    decimals, top_k = guard.settings["decimals"], guard.settings["topK"]
    successor = _guard_create(
        actor, commitment, key, dataset or guard.dataset, images, decimals, top_k
    )
    successor.replaces = guard
    successor.settings["overlapDays"] = overlap_days
    successor.save(update_fields=["replaces", "settings"])
    # Else they would share one key with everybody as soon as the server gets its new file.
    for client in guard.clients.filter(ended_at=None):
        _client_create(actor, successor, client.name, key)
    return successor


def _guard_create(
    actor: Actor,
    commitment: Commitment,
    key: KeyFile,
    dataset: str,
    images: int,
    decimals: int | None,
    top_k: int | None,
) -> Protection:
    actor.require(WRITE)
    version = commitment.version
    check_opens(key, commitment)
    classes = guard_parameters(version, commitment).classes
    _check_settings(images, decimals, top_k, classes)
    if Protection.objects.filter(result=version).exists():
        raise ProtectionError(
            f"{version} is locked, so its answers to plain images are worth nothing to anybody.",
            hint="Guard the version that it was made from.",
        )
    # So that two requests at once make one.
    Version.objects.select_for_update().get(id=version.id)
    if is_guarding(commitment):
        raise ProtectionError(
            "There is a guard under this key already.", hint="Use it, or make a new key."
        )
    guard_id = uuid.uuid4()
    job = job_create(
        organisation_id=actor.organisation.id,
        kind=GUARD_JOB,
        title=f"Guard {version}",
        queue="gpu",
        payload={"protection": str(guard_id)},
        created_by=actor.name,
        secret={"key": key.dumps()},
    )
    return Protection.objects.create(
        id=guard_id,
        organisation=actor.organisation,
        kind=Protection.Kind.DYNAMIC,
        source=version,
        commitment=commitment,
        dataset=dataset,
        settings={
            "images": images,
            # What copies are made from, and how, is drawn when the owner's choices are made.
            "referenceSeed": secrets.token_hex(32),
            "decimals": decimals,
            "topK": top_k,
            "thresholds": None,
            "references": [],
        },
        job=job,
        created_by=actor.name,
    )


def guard_finish(
    *,
    guard: Protection,
    job: Job,
    thresholds: list[list[float]] | None,
    references: list[str],
    report_card: dict[str, Any],
) -> None:
    """Keep where the cells are cut and what the guard costs, begin its time, and end the job.

    references: digests of model files in the storage, copies of the unmarked model. The guard that
    it replaces gets its end.
    """

    def record() -> None:
        now = timezone.now()
        guard.settings |= {"thresholds": thresholds, "references": references}
        guard.report_card, guard.valid_from = report_card, now
        guard.save(update_fields=["settings", "report_card", "valid_from"])
        if guard.replaces_id is not None:
            overlap = timedelta(days=guard.settings["overlapDays"])
            Protection.objects.filter(id=guard.replaces_id).update(valid_until=now + overlap)

    job_finish(job=job, record=record)


@transaction.atomic
def client_add(*, actor: Actor, guard: Protection, name: str, key: KeyFile) -> GuardClient:
    """Give a client of the API key bits of their own, and enter the commitment to them in the log.

    The key file is opened here and not kept. Raises ProtectionError.
    """
    actor.require(WRITE)
    _check_finished(guard)
    return _client_create(actor, guard, name, key)


def client_end(*, actor: Actor, client: GuardClient) -> None:
    """Leave a client out of configurations from now on. A copy of theirs can still be told."""
    actor.require(WRITE)
    GuardClient.objects.filter(id=client.id, ended_at=None).update(ended_at=timezone.now())
    client.refresh_from_db()


def guard_configuration(*, actor: Actor, guard: Protection, key: KeyFile) -> GuardFile:
    """What a server needs to run the guard, with its key: nobody keeps it here.

    Raises ProtectionError.
    """
    actor.require(WRITE)
    check_opens(key, guard.commitment)
    told = {**public_configuration(guard), "key": json.loads(key.dumps())}
    return GuardFile.loads(json.dumps(told))


def public_configuration(guard: Protection) -> dict[str, Any]:
    """The configuration without the key, in its order; days are in UTC. Raises ProtectionError."""
    _check_finished(guard)
    settings: Mapping[str, Any] = guard.settings
    return {
        "format": FORMAT,
        "key": None,
        "binding": guard.commitment.binding,
        "thresholds": settings["thresholds"],
        "input_shape": _input_shape(guard) if settings["thresholds"] else None,
        "decimals": settings["decimals"],
        "top_k": settings["topK"],
        "clients": dict(guard.clients.filter(ended_at=None).values_list("name", "binding")),
        "valid_from": _day(guard.valid_from),
        "valid_until": _day(guard.valid_until),
    }


def _input_shape(guard: Protection) -> list[int]:
    card = card_of(guard.source)
    return [card["channels"], card["height"], card["width"]]


def configuration_name(guard: Protection) -> str:
    """What the configuration's file is called."""
    return f"guard-{guard.source.model.name}-v{guard.source.number}.json"


def _client_create(actor: Actor, guard: Protection, name: str, key: KeyFile) -> GuardClient:
    client = GuardClient(
        guard=guard, name=name, binding=secrets.token_hex(32), created_by=actor.name
    )
    validate(client, ProtectionError, exclude=["commitment", "certificate_id"])
    opened = opened_guard(guard, key, client=name, client_binding=client.binding)
    client.commitment = opened.commitment()
    client.certificate_id = _register(client)
    client.save()
    return client


def _register(client: GuardClient) -> uuid.UUID:
    guard = client.guard
    version, commitment = guard.source, guard.commitment
    certificate = certificate_issue(
        organisation_id=guard.organisation_id,
        kind=REGISTRATION,
        title=f"{version}: client {client.name} of the guard {commitment.digest[:12]}…",
        statement=Registration(
            model_digest=version.root_digest,
            model_name=version.model.name,
            version=version.number,
            organisation=guard.organisation.name,
            commitment=client.commitment,
            binding=client.binding,
            scheme=commitment.scheme,
            parameters={
                **commitment.parameters, "client": client.name, "guard": commitment.digest,
            },
            registered_at=timezone.now(),
        ),
    )  # fmt: skip
    made: uuid.UUID = certificate.id
    return made


def is_guarding(commitment: Commitment) -> bool:
    """Whether there is a guard under this commitment, or may be yet."""
    return _alive(commitment.protections)


def _alive(protections: Any) -> bool:
    """Whether any of them is finished or may be yet."""
    ended = (Job.State.FAILED, Job.State.CANCELLED)
    found: bool = protections.exclude(job__state__in=ended).exists()
    return found


def _check_finished(guard: Protection) -> None:
    if guard.kind != Protection.Kind.DYNAMIC or guard.protected_version is None:
        raise ProtectionError("This guard is not finished.", hint="Wait for its job.")
    if guard.is_over:
        raise ProtectionError(
            "This guard's time has ended.", hint="Use its successor; old copies can still be told."
        )


def _check_settings(images: int, decimals: int | None, top_k: int | None, classes: int) -> None:
    for value, name, least, most in (
        (images, "images", LEAST_IMAGES, MOST_IMAGES),
        (decimals, "decimals", 1, MOST_DECIMALS),
        (top_k, "top classes", 1, classes),
    ):
        if value is not None and not least <= value <= most:
            raise ProtectionError(
                f"A guard takes {least:,} to {most:,} {name}.", hint="Correct it and try again."
            )


def _day(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).date().isoformat() if moment else None
