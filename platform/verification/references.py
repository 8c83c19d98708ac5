"""The null pool's rows: what grows it, and which of its models stand against a version."""

import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from django.db import IntegrityError, transaction

from accounts.actors import VERIFY, Actor
from config.validation import validate
from jobs.models import Job
from jobs.services import job_create, job_finish, job_hold
from registry import storage
from registry.models import Version
from spellmark.errors import SpellmarkError
from spellmark.evidence import null_pool
from spellmark.evidence.fingerprint_rule import least_accuracy
from spellmark.model_files.card import ModelCard
from spellmark.model_files.inspect import inspect_model_file
from verification.models import Reference, Run

POOL_JOB = "null-pool"

USUAL_OF_A_KIND, MOST_OF_A_KIND = 20, 400
USUAL_EPOCHS, MOST_EPOCHS = 6, 200
# Of what the owner's model is right on: less able innocents come less close to it, and an able one
# would stand out among them like a copy.
LEAST_OF_OWNERS = 0.9


class PoolError(SpellmarkError):
    """A null pool that cannot be grown or used."""


@transaction.atomic
def pool_grow(
    *,
    actor: Actor,
    version: Version,
    dataset: str,
    images: int | None = None,
    of_a_kind: int = USUAL_OF_A_KIND,
    epochs: int = USUAL_EPOCHS,
    organisation_wide: bool = False,
) -> Job:
    """Start the job that trains innocent models of every kind for the runs of a version.

    images: so many of the first training images the owner's model has learned from; None for all.
    of_a_kind: models of each kind to train. organisation_wide: whether they stand against all
    versions that take such images. Raises PoolError.
    """
    actor.require(VERIFY)
    _check_version(version)
    if not 1 <= of_a_kind <= MOST_OF_A_KIND or not 1 <= epochs <= MOST_EPOCHS:
        raise PoolError(
            f"{of_a_kind} models of a kind in {epochs} epochs cannot be trained.",
            hint=f"Choose 1 to {MOST_OF_A_KIND} models and 1 to {MOST_EPOCHS} epochs.",
        )
    return job_create(
        organisation_id=actor.organisation.id,
        kind=POOL_JOB,
        title=f"Grow the null pool of {version}",
        queue="gpu",
        payload={
            "version": str(version.id),
            "dataset": dataset,
            "images": images,
            "ofAKind": of_a_kind,
            "epochs": epochs,
            "organisationWide": organisation_wide,
            # Seeds of another job are others, so that a pool grows by new models.
            "seed": uuid.uuid4().int % 2**31,
        },
        created_by=actor.name,
    )


def reference_upload(
    *,
    actor: Actor,
    name: str,
    kind: str,
    dataset: str,
    chunks: Iterable[bytes],
    version: Version | None = None,
    expected_size: int | None = None,
) -> Reference:
    """Take a model file as a reference: whoever brings it says that it is independent.

    It can only make claims harder (see `null_pool.rank`). version: for its runs alone; None: for
    all that take such images. Raises PoolError, StorageError, ModelFileError, ModelCardError.
    """
    actor.require(VERIFY)
    if version is not None:
        _check_version(version)
    with storage.receive(chunks, expected_size=expected_size) as incoming:
        card = ModelCard.from_metadata(inspect_model_file(incoming.path).metadata)
        row = Reference(
            organisation=actor.organisation,
            version=version,
            name=name,
            kind=kind,
            source=Reference.Source.UPLOADED,
            dataset=dataset,
            card=asdict(card),
            sha256=incoming.sha256,
            created_by=actor.name,
        )
        if version is not None and not _takes_the_same(card, card_of_version(version)):
            raise PoolError(
                f"This model does not take the images of {version}, or tells other classes apart.",
                hint="Bring one for the same task, or leave the version open.",
            )
        with transaction.atomic():
            _save(row)
            storage.keep(incoming)
    return row


def reference_record(
    *,
    job: Job,
    number: int,
    kind: str,
    file: Path,
    card: ModelCard,
    accuracy: float,
    settings: dict[str, Any],
) -> Reference:
    """Keep a model that the job has trained; a worker that lost the job keeps nothing."""
    payload = job.payload
    sha256 = storage.put(file.read_bytes())
    with transaction.atomic():
        job_hold(job=job)
        return Reference.objects.create(
            organisation_id=job.organisation_id,
            version_id=None if payload["organisationWide"] else uuid.UUID(payload["version"]),
            name=f"{card.architecture}, {kind}, no. {number + 1}",
            kind=kind,
            source=Reference.Source.TRAINED,
            dataset=payload["dataset"],
            card=asdict(card),
            settings=settings,
            sha256=sha256,
            accuracy=accuracy,
            job=job,
            number=number,
            created_by=job.created_by,
        )


def is_able(accuracy: float | None, owners: float) -> bool:
    """Whether a reference may stand for innocents, by both models' accuracy on the same images."""
    return (accuracy or 0.0) >= LEAST_OF_OWNERS * owners


def check_able(accuracies: Iterable[float | None], owners: float) -> None:
    """Raise PoolError where a trained reference is too weak beside the owner's model."""
    lowest = min((one or 0.0 for one in accuracies), default=1.0)
    if not is_able(lowest, owners):
        raise PoolError(
            f"A model of the null pool is right on {lowest:.1%} of the test images, the owner's on "
            f"{owners:.1%}: an able innocent would stand out among such like a copy.",
            hint="Grow a pool for this very version, in more epochs or from more images.",
        )


def check_owner_able(accuracy: float, classes: int) -> None:
    """Raise PoolError where the owner's model is too near to guessing to claim anything."""
    least = least_accuracy(classes)
    if accuracy < least:
        raise PoolError(
            f"The owner's model is right on {accuracy:.1%} of the test images, where guessing "
            f"gives {1 / classes:.1%} and a claim asks for {least:.1%}: who knows nothing "
            "resembles others by chance.",
            hint="Compare a version that has learned its task, on images of that task.",
        )


def pool_finish(*, job: Job) -> None:
    """End the job whose models all stand in the pool."""
    job_finish(job=job)


def pool_of(
    version: Version, dataset: str, *, comparable: bool = False
) -> dict[null_pool.Reference, Reference]:
    """The models that stand against a version, with their kinds as seen from it.

    What another version's owner calls the same data may be other data here, and so on: a kind is
    only as close as data set and architecture say. comparable: those of its architecture alone.
    Models for the whole organisation were measured beside another version's model, so they count
    as weak where its best model for the same images is much better.
    """
    card = card_of_version(version)
    rows = Reference.objects.filter(organisation=version.model.organisation_id)
    cards = {row: read_card(row.card) for row in rows.order_by("created_at", "id")}
    alike = {row: theirs for row, theirs in cards.items() if _takes_the_same(theirs, card)}
    pool = {}
    own = set(version.files.values_list("sha256", flat=True))
    best = _best_accuracy(alike)
    for row, theirs in alike.items():
        same = (theirs.architecture, theirs.config) == (card.architecture, card.config)
        stands = row.version_id in (None, version.id) and row.sha256 not in own
        if not stands or (comparable and not same):
            continue
        able = row.version_id is not None or is_able(row.accuracy, best.get(row.dataset, 0.0))
        source = row.source if able or row.source != null_pool.TRAINED else null_pool.WEAK
        kind = _kind_seen(row, dataset, same)
        pool[null_pool.Reference(kind, row.sha256, source)] = row
    return pool


def run_pool(run: Run) -> list[null_pool.Reference]:
    """The pool as it was fixed when the run was made."""
    return [
        null_pool.Reference(row["kind"], row["sha256"], row["source"]) for row in run.pool or ()
    ]


def fewest_of_a_kind(pool: Iterable[null_pool.Reference], *, comparable: bool = False) -> int:
    """How many of each kind, at the least, the platform trained: a p-value may rest on those.

    comparable: of the version's architecture alone, as in `pool_of`; a kind that has none of those
    has no say, but for the closest.
    """
    counts = Counter(one.kind for one in pool if one.source == null_pool.TRAINED)
    needed = {*counts, null_pool.SAME_ARCHITECTURE} if comparable else null_pool.KINDS
    return min(counts[kind] for kind in needed)


def check_unchanged(digest: str, registered: str) -> None:
    """Raise PoolError where a model joined the pool since the rule was made of it."""
    if digest != registered:
        raise PoolError("The null pool has just grown.", hint="Start the run again.")


def card_of_version(version: Version) -> ModelCard:
    """The version's model card. Raises PoolError."""
    if not version.card:
        raise PoolError(
            f"{version} has no model card, so nothing can be trained like it.",
            hint="Publish a version with a safetensors file that carries one.",
        )
    return read_card(version.card)


def read_card(values: Mapping[str, Any]) -> ModelCard:
    """A card from a row, where JSON made lists of its tuples."""
    lists = {name: tuple(values[name]) for name in ("label_names", "mean", "std")}
    return ModelCard(**{**values, **lists})


def reference_card(card: ModelCard, architecture: str, config: dict[str, Any]) -> ModelCard:
    """The card of a model of another architecture for the same task."""
    return replace(card, architecture=architecture, config=config, binding="", description="")


def _kind_seen(row: Reference, dataset: str, same_architecture: bool) -> str:
    if row.kind == null_pool.OTHER_DATA or row.dataset != dataset:
        return null_pool.OTHER_DATA
    return null_pool.SAME_ARCHITECTURE if same_architecture else null_pool.SAME_DATA


def _best_accuracy(rows: Iterable[Reference]) -> dict[str, float]:
    """Of the trained ones, by data set."""
    best: dict[str, float] = {}
    for row in rows:
        if row.source == Reference.Source.TRAINED:
            best[row.dataset] = max(best.get(row.dataset, 0.0), row.accuracy or 0.0)
    return best


def _takes_the_same(one: ModelCard, other: ModelCard) -> bool:
    return (one.classes, one.channels, one.height, one.width) == (
        other.classes, other.channels, other.height, other.width,
    )  # fmt: skip


def _check_version(version: Version) -> None:
    if version.state != Version.State.PUBLISHED:
        raise PoolError(
            f"{version} is a draft.", hint="Publish it first: pools stand against what is fixed."
        )
    card_of_version(version)


def _save(row: Reference) -> None:
    validate(row, PoolError)
    try:
        row.save()
    except IntegrityError as error:
        raise PoolError(
            "This very file stands in the pool already.", hint="Bring another model."
        ) from error
