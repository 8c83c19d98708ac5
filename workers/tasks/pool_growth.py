"""The pool's job: innocent models of every kind, trained one after the other."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from registry.models import Version
from spellmark.evidence.null_pool import KINDS, OTHER_DATA, SAME_DATA, TRAINED
from spellmark.model_files.card import ModelCard
from spellmark.training import weights
from spellmark.training.architectures import fresh
from spellmark.training.datasets import Dataset, Split
from spellmark.training.fit import Recipe, fit
from spellmark.training.inference import accuracy
from tasks.lock import data_for, model_path
from tasks.work import Work
from verification.models import Reference, Run
from verification.references import (
    PoolError,
    card_of_version,
    check_able,
    check_owner_able,
    is_able,
    pool_finish,
    reference_card,
    reference_record,
    run_pool,
)

# A pool of one architecture would say little about thieves' or rivals' taste.
OTHERS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("small-resnet", {"width": 12}),
    ("small-cnn", {"width": 16}),
    ("small-mlp", {"width": 256}),
    ("small-resnet", {"width": 20}),
    ("small-cnn", {"width": 24}),
    ("small-mlp", {"width": 128}),
)
RATES = (4e-3, 2e-3, 3e-3)
# Fewer other images teach a model nothing.
LEAST_OTHER = 500


@dataclass(frozen=True)
class Planned:
    """One model of the plan: everything about it follows from the job's payload."""

    number: int
    kind: str
    card: ModelCard
    recipe: Recipe


def run(work: Work) -> None:
    """Train what is not trained yet; a lost worker's models and epochs count."""
    payload = work.job.payload
    version = Version.objects.select_related("model").get(id=payload["version"])
    data = data_for(version, payload["dataset"])
    kept = set(Reference.objects.filter(job=work.job).values_list("number", flat=True))
    if kept:
        work.log(f"taken up with {len(kept)} models trained")
    plan = list(planned(card_of_version(version), payload))
    owners = _owners_accuracy(version, data)
    with work.scratch() as scratch:
        for one in plan:
            if one.number not in kept:
                _train(work, one, data, len(plan), scratch, owners)
        work.check()
        if not Reference.objects.filter(job=work.job).exists():
            raise PoolError(
                f"No model came near the owner's, which is right on {owners:.1%} of the images.",
                hint="Train them in more epochs, or on as many images as the owner's model.",
            )
        pool_finish(job=work.job)


def planned(card: ModelCard, payload: dict[str, Any]) -> Iterator[Planned]:
    """The models of a job, kind by kind in turn, so that a stopped job leaves some of each."""
    for number in range(len(KINDS) * payload["ofAKind"]):
        turn, place = divmod(number, len(KINDS))
        kind = KINDS[place]
        # Weights are compared with models that are built like the owner's, and with no others.
        alike = kind != SAME_DATA
        yield Planned(
            number,
            kind,
            card if alike else _other(card, turn),
            Recipe(
                epochs=payload["epochs"],
                learning_rate=RATES[turn % len(RATES)],
                seed=_seed(payload["seed"], number),
            ),
        )


def split_for(kind: str, data: Dataset, images: int | None) -> Split:
    """What a model of this kind learns from.

    Other data are training images that the owner's model has not seen; where there are none, the
    second half of the test images, for probes come from the first.
    """
    seen = len(data.train) if images is None else images
    if kind != OTHER_DATA:
        return data.train[:seen]
    rest = data.train[seen:]
    return rest if len(rest) >= LEAST_OTHER else data.test[len(data.test) // 2 :]


def check_run_pool(run: Run) -> float:
    """How often the owner's model is right on test images, in [0, 1].

    Raises PoolError where it knows too little, or the run's pool is too weak beside it.
    """
    trained = [one.sha256 for one in run_pool(run) if one.source == TRAINED]
    rows = Reference.objects.filter(organisation=run.organisation_id, sha256__in=trained)
    owners = _owners_accuracy(run.owners, data_for(run.owners, run.dataset))
    check_owner_able(owners, card_of_version(run.owners).classes)
    check_able(rows.values_list("accuracy", flat=True), owners)
    return owners


def _owners_accuracy(version: Version, data: Dataset) -> float:
    half = _measured_on(data)
    return accuracy(*weights.load(model_path(version)), half.images, half.labels)


def _measured_on(data: Dataset) -> Split:
    return data.test[: len(data.test) // 2]


def _train(
    work: Work, one: Planned, data: Dataset, models: int, scratch: Path, owners: float
) -> None:
    def show(share: float, step: str) -> None:
        work.progress((one.number + share) / models, f"model {one.number + 1} of {models}, {step}")

    part = split_for(one.kind, data, work.job.payload["images"])
    checkpoint = scratch / f"checkpoint-{one.number}.pt"
    model = fit(
        fresh(one.card, one.recipe.seed), one.card, part, one.recipe,
        checkpoint=checkpoint, progress=show,
    )  # fmt: skip
    half = _measured_on(data)
    right = accuracy(model, one.card, half.images, half.labels)
    told = f"model {one.number + 1}, {one.kind}, {one.card.architecture}: right on {right:.1%}"
    if not is_able(right, owners):
        work.log(f"{told}, too little beside {owners:.1%}: left out")
        return
    file = scratch / "reference.safetensors"
    weights.save(model, one.card, file)
    reference_record(
        job=work.job, number=one.number, kind=one.kind, file=file, card=one.card, accuracy=right,
        settings={
            "epochs": one.recipe.epochs, "images": len(part), "seed": one.recipe.seed,
            "learningRate": one.recipe.learning_rate,
        },
    )  # fmt: skip
    checkpoint.unlink(missing_ok=True)
    work.log(told)


def _other(card: ModelCard, turn: int) -> ModelCard:
    others = [one for one in OTHERS if one != (card.architecture, card.config)]
    return reference_card(card, *others[turn % len(others)])


def _seed(seed: int, number: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed} {number}".encode()).digest()[:4]) >> 1
