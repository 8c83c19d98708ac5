"""The attack job: what a thief of a locked model would reach, and at what cost."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from jobs.sealing import unseal
from protection.models import Rehearsal
from protection.services import attacks_finish
from spellmark.attacks.attack import AttackError
from spellmark.attacks.suite import run_suite
from spellmark.locks.key_lock.lock_key import LockKey
from spellmark.secrets import KeyFile
from spellmark.training import datasets, weights
from tasks.lock import data_for, model_path, opened_key
from tasks.work import Work


def run(work: Work) -> None:
    """Attack the protection's locked version, and keep what came of it."""
    rehearsal = Rehearsal.objects.select_related(
        "protection__source__model", "protection__result__model", "protection__commitment"
    ).get(job=work.job)
    with work.scratch() as scratch:
        results = _attack(work, rehearsal, scratch)
        if not results:
            raise AttackError(
                "None of these attacks can be run on this lock.", hint="The log says why."
            )
        work.check()
        attacks_finish(rehearsal=rehearsal, job=work.job, results=results)


def _attack(work: Work, rehearsal: Rehearsal, folder: Path) -> list[dict[str, Any]]:
    """All attacks, one by one; the folder keeps what a lost worker had done."""
    protection = rehearsal.protection
    file = KeyFile.loads(unseal(work.job)["key"])
    key = cast(LockKey, opened_key(protection.source, protection.commitment, file))
    data = data_for(protection.source, rehearsal.dataset)
    attacker = _thiefs_images(work, rehearsal, data)
    locked, card = weights.load(model_path(protection.result))
    results: list[dict[str, Any]] = []
    for number, name in enumerate(rehearsal.attacks):
        kept = folder / f"{name}.json"
        if not kept.exists():
            show = _progress(work, number, len(rehearsal.attacks))
            try:
                # Without the model from before the lock: a thief who has that needs no key.
                found = run_suite(
                    locked, None, card, key, attacker, data.test,
                    attacks=[name], budget=rehearsal.budget, progress=show,
                )  # fmt: skip
            except AttackError as error:
                work.log(f"{name}: {error.message}")
                found = []
            for result in found:
                work.log(f"{result.name}, {result.labels_used} labels: {result.accuracy:.1%}")
            kept.write_text(json.dumps([asdict(result) for result in found]))
        results += json.loads(kept.read_text())
    return results


def _thiefs_images(work: Work, rehearsal: Rehearsal, data: datasets.Dataset) -> datasets.Split:
    """Training images that the lock has not seen, where the data set has any left."""
    protection = rehearsal.protection
    seen = protection.settings["images"] if rehearsal.dataset == protection.dataset else 0
    if seen < len(data.train):
        return data.train[seen:]
    work.log("the lock was trained on all images of this data set, so the thief has the same ones")
    return data.train


def _progress(work: Work, number: int, count: int) -> Callable[[float, str], None]:
    def show(share: float, step: str) -> None:
        work.progress((number + share) / count, step)

    return show
