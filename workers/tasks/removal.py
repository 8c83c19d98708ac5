"""The removal job: what thieves do to a marked model, and whether its owner would still tell."""

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

from jobs.sealing import unseal
from protection.models import Rehearsal
from protection.triggers import opened_trigger
from spellmark.attacks.trigger.suite import RemovalResult, run_suite
from spellmark.secrets import KeyFile
from spellmark.training import weights
from spellmark.watermarks.trigger.examine import examine, rule_for
from tasks.lock import data_for, model_path
from tasks.rehearsing import rehearse, thiefs_images
from tasks.work import Work


def run(work: Work) -> None:
    """Attack the protection's marked version, and keep what came of it."""
    rehearse(work, _suite, _line)


def _line(result: RemovalResult) -> str:
    return (
        f"{result.name}: right on {result.accuracy:.1%}, {result.hits} of {result.questions} "
        f"triggers, {result.verdict}"
    )


def _suite(work: Work, rehearsal: Rehearsal, folder: Path) -> Callable[..., list[RemovalResult]]:
    """The attacks on this watermark. Nobody outside sees a trigger, so none is used up."""
    protection = rehearsal.protection
    key = opened_trigger(protection, KeyFile.loads(unseal(work.job)["key"]))
    model, card = weights.load(model_path(protection.result))
    data = data_for(protection.source, rehearsal.dataset)
    test = partial(
        examine,
        key=key,
        rule=rule_for(key.parameters),
        seed=hashlib.sha256(rehearsal.id.bytes).digest(),
    )
    return partial(run_suite, model, card, thiefs_images(work, data), data.test, test)
