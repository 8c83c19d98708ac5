"""The theft job: how well a guarded API could be stolen from, and whether the owner would tell."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from jobs.sealing import unseal
from protection.guards import opened_guard
from protection.models import Rehearsal
from protection.services import attacks_finish
from spellmark.attacks.attack import AttackError
from spellmark.attacks.extract.api import guarded
from spellmark.attacks.extract.result import Examine, TheftResult
from spellmark.attacks.extract.suite import run_suite
from spellmark.evidence.mark_rule import MarkRule
from spellmark.secrets import KeyFile
from spellmark.training import datasets, weights
from spellmark.watermarks.dynamic import Guard
from spellmark.watermarks.dynamic.examine import examine
from tasks.lock import data_for, model_path
from tasks.mark_questions import questions_of, thresholds_of
from tasks.work import Work

# As in a dispute.
ALPHA = 1e-6
QUESTIONS = 256
# A client of the same API: who asks as two clients can average their answers.
ACCOMPLICE = "an accomplice of the thief"


def run(work: Work) -> None:
    """Steal from the protection's guarded version, and keep what came of it."""
    rehearsal = Rehearsal.objects.select_related(
        "protection__source__model", "protection__commitment"
    ).get(job=work.job)
    with work.scratch() as scratch:
        results = _steal(work, rehearsal, scratch)
        if not results:
            raise AttackError(
                "None of these thefts can be run on this guard.", hint="The log says why."
            )
        work.check()
        attacks_finish(rehearsal=rehearsal, job=work.job, results=results)


def _steal(work: Work, rehearsal: Rehearsal, folder: Path) -> list[dict[str, Any]]:
    """All thefts, one by one; the folder keeps what a lost worker had done."""
    suite = _suite(work, rehearsal, folder)
    results: list[dict[str, Any]] = []
    for number, name in enumerate(rehearsal.attacks):
        kept = folder / f"{name}.json"
        if not kept.exists():
            show = _progress(work, number, len(rehearsal.attacks))
            try:
                found = suite(attacks=[name], budget=rehearsal.budget, progress=show)
            except AttackError as error:
                work.log(f"{name}: {error.message}")
                found = []
            for result in found:
                work.log(
                    f"{result.name}, {result.architecture}, {result.queries:,} queries: right on "
                    f"{result.accuracy:.1%}, {result.verdict}"
                )
            kept.write_text(json.dumps([asdict(result) for result in found]))
        results += json.loads(kept.read_text())
    return results


def _suite(work: Work, rehearsal: Rehearsal, folder: Path) -> Callable[..., list[TheftResult]]:
    """The thefts from this guard, on the model that it stands before."""
    protection = rehearsal.protection
    file = KeyFile.loads(unseal(work.job)["key"])
    model, card = weights.load(model_path(protection.source))
    settings, key = protection.settings, opened_guard(protection, file)
    thresholds = thresholds_of(protection)
    shortened = {"decimals": settings["decimals"], "top_k": settings["topK"]}
    api, other = (
        guarded(model, card, Guard(one, thresholds=thresholds, **shortened))
        for one in (key, opened_guard(protection, file, client=ACCOMPLICE))
    )
    data = data_for(protection.source, rehearsal.dataset)
    # The owner's test asks about other images than those on which copies are measured.
    half = len(data.test) // 2
    seed = hashlib.sha256(rehearsal.id.bytes).digest()
    questions = questions_of(protection, key, data.test.images[half:], seed=seed, wanted=QUESTIONS)
    chosen = key.parameters
    rule = MarkRule(
        alpha=ALPHA, probes=len(questions), classes=chosen.classes, cells=chosen.cells,
        strength=chosen.strength, label_margin=chosen.label_margin,
    )  # fmt: skip
    test: Examine = partial(examine, questions=questions, rule=rule, keys={"": key})
    return partial(
        run_suite, api, card, _thiefs_images(work, data), data.test[:half], test,
        other_api=other, folder=folder,
    )  # fmt: skip


def _thiefs_images(work: Work, data: datasets.Dataset) -> datasets.Split:
    """The second half of the training images: what the owner trained on is not known here."""
    mine = data.train[len(data.train) // 2 :]
    work.log(f"the thief has the last {len(mine):,} training images")
    return mine


def _progress(work: Work, number: int, count: int) -> Callable[[float, str], None]:
    def show(share: float, step: str) -> None:
        work.progress((number + share) / count, step)

    return show
