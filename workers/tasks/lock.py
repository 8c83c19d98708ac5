"""The lock job: fine-tune a version under its key, measure it, register the result."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jobs.sealing import unseal
from protection.editors import editor_path
from protection.models import Protection
from protection.services import card_of, check_opens, lock_finish, lock_parameters
from registry import storage
from registry.models import Commitment, Version
from spellmark.errors import SpellmarkError
from spellmark.locks.locksmith import Locksmith, locksmith, with_seeds
from spellmark.locks.opened_key import OpenedKey
from spellmark.locks.prompt_lock.parameters import PromptLockParameters
from spellmark.locks.unlock import open_key
from spellmark.secrets import KeyFile
from spellmark.training import datasets, weights
from tasks.work import Work

TRAINING_SHARE = 0.8


def run(work: Work) -> None:
    """Lock the protection's source version, once for each seed."""
    protection = Protection.objects.select_related(
        "source__model", "commitment", "organisation"
    ).get(job=work.job)
    source, commitment = protection.source, protection.commitment
    file = KeyFile.loads(unseal(work.job)["key"])
    key = opened_key(source, commitment, file)
    with work.scratch() as scratch:
        data = data_for(source, protection.dataset)
        smith = locksmith(
            key,
            file,
            binding=bytes.fromhex(commitment.binding),
            edits=scratch / "edits",
            # None for a key lock, and for a lock that was asked for before there was a choice.
            negatives=protection.settings.get("negatives"),
        )
        bench = _Bench(work, protection, smith, data, scratch)
        reports = [bench.trial(seed) for seed in range(protection.settings["seeds"])]
        work.check()
        lock_finish(
            protection=protection,
            job=work.job,
            locked=bench.locked,
            report_card=with_seeds(reports),
        )


def opened_key(version: Version, commitment: Commitment, file: KeyFile) -> OpenedKey:
    """The opened key of a lock on this version. Raises what `check_opens` and the locks raise."""
    check_opens(file, commitment)
    parameters, card = lock_parameters(version, commitment), card_of(version)
    editor = None
    if isinstance(parameters, PromptLockParameters):
        editor = editor_path(version.model.organisation_id, parameters.editor)
    return open_key(
        file,
        shape=(card["channels"], card["height"], card["width"]),
        classes=card["classes"],
        binding=bytes.fromhex(commitment.binding),
        editor=editor,
    )


@dataclass(frozen=True)
class _Bench:
    """Trains and measures, seed by seed; the folder keeps what a lost worker had done."""

    work: Work
    protection: Protection
    smith: Locksmith
    data: datasets.Dataset
    folder: Path

    @property
    def locked(self) -> Path:
        """The first seed's model, which is registered."""
        return self.folder / "locked.safetensors"

    def trial(self, seed: int) -> dict[str, Any]:
        """Lock and measure from one seed: the report card."""
        kept = self.folder / f"report-{seed}.json"
        if kept.exists():
            report: dict[str, Any] = json.loads(kept.read_text())
            return report
        chosen = self.protection.settings
        unprotected, own_card = weights.load(model_path(self.protection.source))
        model, card = self.smith.prepared(unprotected, own_card)
        images = self.data.train[: chosen["images"]]
        self.smith.lock(
            model,
            unprotected,
            card,
            images,
            replace(self.smith.recipe(len(images)), epochs=chosen["epochs"], seed=seed),
            checkpoint=self.folder / f"checkpoint-{seed}.pt",
            progress=self._progress(seed, 0, TRAINING_SHARE, "locking"),
        )
        if seed == 0:
            told = f"Locked with a Spellmark {self.protection.kind.replace('-', ' ')}."
            weights.save(model, replace(card, description=told), self.locked)
        report = self.smith.measure(
            model,
            unprotected,
            card,
            self.data.test,
            wrong_keys=chosen["wrongKeys"],
            progress=self._progress(seed, TRAINING_SHARE, 1, "measuring"),
        )
        self.work.log(
            f"training {seed + 1}: right key {report['right']:.1%}, wrong keys "
            f"{report['wrong_mean']:.1%} on average"
        )
        kept.write_text(json.dumps(report))
        return report

    def _progress(
        self, seed: int, start: float, end: float, doing: str
    ) -> Callable[[float, str], None]:
        """Shows a part of one seed's work as a part of the job's."""
        seeds = self.protection.settings["seeds"]

        def show(share: float, step: str) -> None:
            done = (seed + start + share * (end - start)) / seeds
            self.work.progress(done, f"training {seed + 1} of {seeds}, {doing}: {step}")
            if "loss" in step or step.endswith("."):
                self.work.log(f"training {seed + 1}, {step}")

        return show


def model_path(version: Version) -> Path:
    """Where the version's weights lie. Raises SpellmarkError."""
    file = version.files.filter(format="safetensors").first()
    if file is None:
        raise SpellmarkError(
            f"{version} has no safetensors file.", hint="Publish one with a model card."
        )
    return storage.path_of(file.sha256)


def data_for(version: Version, name: str) -> datasets.Dataset:
    """A data set that fits the version's model. Raises SpellmarkError."""
    data, card = datasets.load(name), version.card
    check_fits(data, card["classes"], (card["channels"], card["height"], card["width"]))
    return data


def check_fits(data: datasets.Dataset, classes: int, shape: tuple[int, int, int]) -> None:
    """Raise SpellmarkError unless the data set's images and classes are the model's."""
    found = data.train.images.shape[1:]
    if found != shape or data.classes > classes:
        raise SpellmarkError(
            f"The data set “{data.name}” has images of {found} in {data.classes} classes; the "
            f"model takes {shape} in {classes}.",
            hint="Choose the data set that the model was trained for.",
        )
