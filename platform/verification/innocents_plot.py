"""The plot of a trigger run's null pool: how many hits innocent models have, and the suspect.

Places are computed here, the markup is in `templates/plots`.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from django.template.loader import render_to_string

from config.charts import Bar, Tick, round_numbers
from registry import storage
from spellmark.evidence import transcript
from spellmark.evidence.binomial_test import binomial_tail
from spellmark.evidence.trigger_pool import AskedReference
from spellmark.evidence.trigger_rule import TRIGGER, TriggerRule
from verification.models import Run
from verification.plots import FLOOR, LEFT, RIGHT, TOP, frame


class Plot(NamedTuple):
    """An SVG, safe to embed, and what it shows in words."""

    svg: str
    text: str


def innocents_plot(run: Run) -> Plot | None:
    """The hits of innocent models beside the suspect's; None where none was asked.

    Hits are among the triggers that the suspect was asked about, so that they can be compared. They
    are read from the transcript, which is what others see of them.
    """
    if run.method != TRIGGER or not run.findings:
        return None
    header, exchanges = transcript.read(storage.get(run.transcript_sha256))
    labels = [exchange.label for exchange in exchanges]
    hits = [AskedReference.read(row).known(labels) for row in header["pool"]]
    if not hits:
        return None
    text = _text(run, hits, len(labels))
    return Plot(_drawn(run, hits, len(labels), text), text)


def _drawn(run: Run, hits: Sequence[int], asked: int, text: str) -> str:
    bars, needed = Counter(hits), _needed(run, asked)
    counts = round_numbers(max(bars.values()), steps=5)
    scale_x = (RIGHT - LEFT) / (asked + 1)
    scale_y = (FLOOR - TOP) / max(bars.values())

    def left(number: float) -> float:
        return round(LEFT + number * scale_x, 1)

    def bar(number: int, count: int) -> Bar:
        height = round(count * scale_y, 1)
        return Bar(left(number) + 0.5, FLOOR - height, max(round(scale_x - 1, 1), 1), height)

    context = {
        # A page shows another plot of the same run.
        **frame(run, name="innocents"),
        "text": text,
        "innocents": f"{len(hits):,}",
        "own": run.statistic,
        "asked": asked,
        "suspect": left(run.statistic + 0.5),
        "needed": None if needed is None else Tick(left(needed), f"{needed}"),
        "counts": [Tick(round(FLOOR - n * scale_y, 1), f"{n:,}") for n in counts],
        "hits": [Tick(left(n + 0.5), f"{n:,}") for n in round_numbers(asked, steps=10)],
        "bars": [bar(number, count) for number, count in sorted(bars.items())],
    }
    return render_to_string("plots/innocents.svg", context)


def _text(run: Run, hits: Sequence[int], asked: int) -> str:
    needed, passed = _needed(run, asked), run.findings["passed"]
    line = "" if needed is None else f" A match after so many answers asks for {needed}."
    return (
        f"The suspect gives {run.statistic} of {asked} triggers their label. {len(hits):,} "
        f"innocent models that were asked about the same give {min(hits)} to {max(hits)} of them "
        f"their label, {sum(hits) / len(hits):.1f} on average; chance gives "
        f"{asked / run.rule['classes']:.1f}.{line} Of the innocent models {passed or 'none'} would "
        "be a match."
    )


def _needed(run: Run, asked: int) -> int | None:
    """How many hits among so many answers make a match; None where not even all of them do."""
    rule = TriggerRule(**run.rule)
    for hits in range(asked + 1):
        if rule.p_value_of(binomial_tail(hits, asked, rule.classes)) <= rule.alpha:
            return hits
    return None
