"""The lock job: fine-tune a version under its key, measure it, register the result."""

import shutil
from dataclasses import replace
from pathlib import Path

from django.conf import settings

from jobs.sealing import unseal
from protection.models import Protection
from protection.services import key_lock_finish, lock_geometry
from registry import storage
from registry.models import Version
from spellmark.errors import SpellmarkError
from spellmark.locks.key_lock.lock import lock
from spellmark.locks.key_lock.report_card import report_card
from spellmark.locks.key_lock.transforms import from_key_file
from spellmark.secrets import KeyFile
from spellmark.training import datasets, weights
from spellmark.training.fit import Recipe
from tasks.work import Work

TRAINING_SHARE = 0.8


def run(work: Work) -> None:
    """Lock the protection's source version."""
    protection = Protection.objects.select_related(
        "source__model", "commitment", "organisation"
    ).get(job=work.job)
    key = KeyFile.loads(unseal(work.job)["key"])
    transform = from_key_file(
        key,
        binding=bytes.fromhex(protection.commitment.binding),
        geometry=lock_geometry(protection.source, protection.commitment),
    )
    source = model_path(protection.source)
    model, card = weights.load(source)
    unprotected, _ = weights.load(source)
    data = datasets.load(protection.dataset)
    check_fits(data, card.classes, (card.channels, card.height, card.width))

    scratch = Path(settings.SCRATCH) / str(work.job.id)
    scratch.mkdir(parents=True, exist_ok=True)

    def training(share: float, step: str) -> None:
        work.progress(TRAINING_SHARE * share, f"locking: {step}")
        if "loss" in step:
            work.log(step)

    def measuring(share: float, step: str) -> None:
        work.progress(TRAINING_SHARE + (1 - TRAINING_SHARE) * share, f"measuring: {step}")

    try:
        chosen = protection.settings
        lock(
            model,
            card,
            data.train[: chosen["images"]],
            transform,
            Recipe(epochs=chosen["epochs"]),
            checkpoint=scratch / "checkpoint.pt",
            progress=training,
        )
        report = report_card(
            model,
            unprotected,
            card,
            data.test,
            transform,
            wrong_keys=chosen["wrongKeys"],
            progress=measuring,
        )
        work.log(f"right key {report.right:.1%}, wrong keys {report.wrong_mean:.1%} on average")
        locked = scratch / "locked.safetensors"
        weights.save(model, replace(card, description="Locked with a Spellmark key lock."), locked)
        work.check()
        key_lock_finish(
            protection=protection, job=work.job, locked=locked, report_card=report.as_dict()
        )
    except SpellmarkError:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    shutil.rmtree(scratch, ignore_errors=True)


def model_path(version: Version) -> Path:
    """Where the version's weights lie. Raises SpellmarkError."""
    file = version.files.filter(format="safetensors").first()
    if file is None:
        raise SpellmarkError(
            f"{version} has no safetensors file.", hint="Publish one with a model card."
        )
    return storage.path_of(file.sha256)


def check_fits(data: datasets.Dataset, classes: int, shape: tuple[int, int, int]) -> None:
    """Raise SpellmarkError unless the data set's images and classes are the model's."""
    found = data.train.images.shape[1:]
    if found != shape or data.classes > classes:
        raise SpellmarkError(
            f"The data set “{data.name}” has images of {found} in {data.classes} classes; the "
            f"model takes {shape} in {classes}.",
            hint="Choose the data set that the model was trained for.",
        )
