"""What rehearsed attacks have in common, whatever they attack: one by one, kept as they come."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from protection.models import Rehearsal
from protection.services import attacks_finish
from spellmark.attacks.attack import AttackError
from spellmark.training.datasets import Dataset, Split
from tasks.work import Work

# Runs the attacks of these names with a budget: `suite(attacks=…, budget=…, progress=…)`.
Suite = Callable[..., list[Any]]


def rehearse(
    work: Work,
    suite_of: Callable[[Work, Rehearsal, Path], Suite],
    line: Callable[[Any], str],
    *,
    begin: float = 0,
) -> None:
    """Run the attacks of the job's rehearsal, and keep what came of them.

    suite_of: makes the suite; the folder keeps what a lost worker had done. line: a result's line
    in the job's log. begin: the share of the job that making the suite is.
    """
    rehearsal = Rehearsal.objects.select_related(
        "protection__source__model",
        "protection__result__model",
        "protection__commitment",
        "version__model",
    ).get(job=work.job)
    with work.scratch() as scratch:
        suite = suite_of(work, rehearsal, scratch)
        results: list[dict[str, Any]] = []
        for number, name in enumerate(rehearsal.attacks):
            kept = scratch / f"{name}.json"
            if not kept.exists():
                found = _attacked(work, rehearsal, suite, number, line, begin)
                kept.write_text(json.dumps([asdict(result) for result in found]))
            results += json.loads(kept.read_text())
        if not results:
            raise AttackError("None of these attacks can be run.", hint="The log says why.")
        work.check()
        attacks_finish(rehearsal=rehearsal, job=work.job, results=results)


def thiefs_images(work: Work, data: Dataset) -> Split:
    """The second half of the training images: what the owner trained on is not known here."""
    mine = data.train[len(data.train) // 2 :]
    work.log(f"the thief has the last {len(mine):,} training images, as far as his budget goes")
    return mine


def _attacked(
    work: Work,
    rehearsal: Rehearsal,
    suite: Suite,
    number: int,
    line: Callable[[Any], str],
    begin: float,
) -> list[Any]:
    """The results of one attack; none where it does not suit."""
    name, count = rehearsal.attacks[number], len(rehearsal.attacks)

    def show(share: float, step: str) -> None:
        work.progress(begin + (1 - begin) * (number + share) / count, step)

    try:
        found = suite(attacks=[name], budget=rehearsal.budget, progress=show)
    except AttackError as error:
        work.log(f"{name}: {error.message}")
        return []
    for result in found:
        work.log(line(result))
    return found
