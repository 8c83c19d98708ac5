"""The theft job: how well a guarded API could be stolen from, and whether the owner would tell."""

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

from jobs.sealing import unseal
from protection.guards import opened_guard
from protection.models import Rehearsal
from spellmark.attacks.extract.api import guarded
from spellmark.attacks.extract.result import Examine, TheftResult
from spellmark.attacks.extract.suite import run_suite
from spellmark.secrets import KeyFile
from spellmark.training import datasets, weights
from spellmark.watermarks.dynamic import Guard
from spellmark.watermarks.dynamic.examine import examine
from tasks.lock import data_for, model_path
from tasks.mark_questions import keys_of, questions_of, thresholds_of
from tasks.rehearsing import rehearse, thiefs_images
from tasks.work import Work
from verification.services import USUAL_QUESTIONS, rule_for

# A client of the same API: who asks as two clients can average their answers.
ACCOMPLICE = "an accomplice of the thief"


def run(work: Work) -> None:
    """Steal from the protection's guarded version, and keep what came of it."""
    rehearse(work, _suite, _line)


def _line(result: TheftResult) -> str:
    return (
        f"{result.name}, {result.architecture}, {result.queries:,} queries: right on "
        f"{result.accuracy:.1%}, {result.verdict}"
    )


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
    questions = questions_of(
        protection, key, data.test.images[half:], seed=seed, wanted=USUAL_QUESTIONS
    )
    # As in a dispute: the usual rule, and every client's key is tried.
    rule = rule_for(protection, probes=len(questions))
    keys = keys_of(protection, file, rule.clients)
    name = rehearsal.other_dataset
    others = datasets.load(name).train.images if name else None
    test: Examine = partial(examine, questions=questions, rule=rule, keys=keys)
    return partial(
        run_suite, api, card, thiefs_images(work, data), data.test[:half], test,
        other_api=other, other_images=others, folder=folder,
    )  # fmt: skip
