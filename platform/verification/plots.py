"""The plot of a run: where the true key stands among the decoys, the hits in their exact null
distribution, or evidence that grows with every answer. Places are computed here, the markup is in
`templates/plots`.
"""

import math
from collections import Counter
from typing import Any

from django.template.loader import render_to_string

from config.charts import Bar, Tick, round_numbers
from spellmark.evidence.decision import KEYED_LABELS, RANDOM_KEY_TEST
from spellmark.evidence.mark_rule import DYNAMIC, MarkRule
from verification.models import Run

WIDTH, HEIGHT = 640, 250
LEFT, RIGHT, TOP, FLOOR = 52, 628, 44, 200
MOST_BARS = 100
# It has no legend above it.
GROWTH_TOP = 18


def run_plot(run: Run) -> str:
    """The SVG of a run's result, safe to embed; empty for a run without answers."""
    if not has_answers(run):
        return ""
    return _PLOTS[run.method][0](run)


def run_plot_text(run: Run) -> str:
    """What the plot shows, in words; empty for a run without answers."""
    if not has_answers(run):
        return ""
    return _PLOTS[run.method][1](run)


def decoy_plot(run: Run) -> str:
    """An SVG histogram of the decoys' correct answers with the true key marked."""
    probes, own, chance = run.answered_probes, run.hits[run.true_slot], chance_level(run)
    step = -(-(probes + 1) // MOST_BARS)  # how many numbers share a bar
    bars = Counter(hits // step for hits in decoy_hits(run))
    counts = round_numbers(max(bars.values()), steps=5)
    scale_x = (RIGHT - LEFT) / (probes // step + 1)
    scale_y = (FLOOR - TOP) / max(counts[-1], *bars.values())

    def x(hits: float) -> float:
        return round(LEFT + (hits + 0.5) / step * scale_x, 1)

    def bar(number: int, count: int) -> Bar:
        # One decoy among thousands must still be seen.
        height = max(round(count * scale_y, 1), 1.5)
        left = round(LEFT + number * scale_x, 1)
        return Bar(left + 0.5, FLOOR - height, max(round(scale_x - 1, 1), 1), height)

    context = {
        **_frame(run),
        "text": decoy_plot_text(run),
        "decoys": f"{len(run.hits) - 1:,}",
        "own": own,
        "probes": probes,
        "true_key": x(own),
        "chance": None if chance is None else Tick(x(chance), f"{chance:.1f}"),
        "counts": [Tick(round(FLOOR - n * scale_y, 1), f"{n:,}") for n in counts],
        "hits": [Tick(x(n), f"{n:,}") for n in round_numbers(probes, steps=10)],
        "bars": [bar(number, count) for number, count in sorted(bars.items())],
    }
    return render_to_string("plots/decoys.svg", context)


def decoy_plot_text(run: Run) -> str:
    """What the plot of a random-key test shows, in words."""
    decoys, chance = decoy_hits(run), chance_level(run)
    guessing = "" if chance is None else f" Guessing would give {chance:.1f}."
    return (
        f"Under the true key {run.hits[run.true_slot]} of {run.answered_probes} probes were "
        f"answered correctly; under the {len(decoys):,} decoy keys {min(decoys)} to {max(decoys)}, "
        f"{sum(decoys) / len(decoys):.1f} on average.{guessing}"
    )


def null_plot(run: Run) -> str:
    """An SVG of the hits' exact null distribution, on a logarithmic scale, with the hits marked."""
    shares = run.null_distribution
    most = max(1, run.statistic, *(hits for hits, share in enumerate(shares) if share))
    step = -(-(most + 1) // MOST_BARS)  # how many numbers share a bar
    # The scale ends a decade below what is shown, so that the rarest bar can be seen.
    seen = [share for share in shares if share] + [run.p_value]
    decades = 1 - math.floor(math.log10(min(seen)))
    scale_x = (RIGHT - LEFT) / (most // step + 1)
    scale_y = (FLOOR - TOP) / decades

    def x(hits: float) -> float:
        return round(LEFT + (hits + 0.5) / step * scale_x, 1)

    def y(share: float) -> float:
        return round(TOP - math.log10(share) * scale_y, 1)

    def bar(number: int, share: float) -> Bar:
        left, top = round(LEFT + number * scale_x, 1), y(share)
        width = max(round(scale_x - 1, 1), 1)
        return Bar(left + 0.5, top, width, round(FLOOR - top, 1), number >= run.statistic // step)

    bars = [sum(shares[first : first + step]) for first in range(0, most + 1, step)]
    powers = round_numbers(decades, steps=5)
    context = {
        **_frame(run),
        "text": null_plot_text(run),
        "own": run.statistic,
        "asked": len(shares) - 1,
        "observed": x(run.statistic),
        "powers": [Tick(round(TOP + n * scale_y, 1), f"−{n}" if n else "") for n in powers],
        "hits": [Tick(x(n), f"{n:,}") for n in round_numbers(most, steps=10)],
        "bars": [bar(number, share) for number, share in enumerate(bars) if share],
    }
    return render_to_string("plots/null.svg", context)


def null_plot_text(run: Run) -> str:
    """What the plot of keyed labels shows, in words."""
    shares = run.null_distribution
    expected = sum(hits * share for hits, share in enumerate(shares))
    return (
        f"{run.statistic} of {len(shares) - 1} answers are those that the key’s labels stand for. "
        f"A suspect that never met the key gives {expected:.1f} of them on average; the bars are "
        "the exact probabilities, on a logarithmic scale, and the dark ones add up to the p-value."
    )


def growth_plot(run: Run) -> str:
    """An SVG of the evidence after each answer, in decades, with the line that decides."""
    growth, line = run.growth, MarkRule(**run.rule).line
    most = math.ceil(max(line, *growth)) + 1
    scale_x = (RIGHT - LEFT) / len(growth)
    scale_y = (FLOOR - GROWTH_TOP) / most

    def x(answer: int) -> float:
        return round(LEFT + answer * scale_x, 1)

    def y(decades: float) -> float:
        return round(FLOOR - decades * scale_y, 1)

    # A step an answer: what was known before it, then what it added.
    path = f"M{x(0)} {y(0)}" + "".join(
        f"H{x(number)}V{y(decades)}" for number, decades in enumerate(growth, 1)
    )
    context = {
        **_frame(run),
        "text": growth_plot_text(run),
        "path": path,
        "line": y(line),
        "line_label": f"decides: 1 in {_in_words(line)}",
        "end": Tick(x(len(growth)), f"{growth[-1]:.1f}"),
        "end_y": y(growth[-1]),
        "crossed": _is_crossed(run),
        "powers": [Tick(y(n), f"{n}" if n else "") for n in round_numbers(most, steps=6)],
        "answers": [Tick(x(n), f"{n:,}") for n in round_numbers(len(growth), steps=8)],
    }
    return render_to_string("plots/growth.svg", context)


def growth_plot_text(run: Run) -> str:
    """What the plot of a guard's run shows, in words."""
    line, last = MarkRule(**run.rule).line, run.growth[-1]
    so_far = (
        f"After {len(run.growth):,} answers the evidence stands at 1 in {_in_words(last)}. The "
        f"line that decides, with room for every look and key, lies at 1 in {_in_words(line)}."
    )
    return so_far + (" The run ended there." if _is_crossed(run) else " It was not reached.")


def _is_crossed(run: Run) -> bool:
    # What is kept of the growth is rounded.
    return bool(run.growth[-1] >= MarkRule(**run.rule).line - 1e-4)


def _in_words(decades: float) -> str:
    """A power of ten as people read it."""
    return f"{10**decades:,.0f}" if decades < 9.5 else f"10^{decades:.0f}"


def chance_level(run: Run) -> float | None:
    """How many probes a guess gets right on average; None where the classes are not known."""
    classes = run.rule.get("classes")
    return float(run.answered_probes / classes) if classes and run.answered_probes else None


def decoy_hits(run: Run) -> list[int]:
    """How many probes were answered correctly under each decoy key."""
    return [hits for slot, hits in enumerate(run.hits) if slot != run.true_slot]


def has_answers(run: Run) -> bool:
    """Whether there is anything to plot."""
    return bool(run.answered_probes and (run.hits or run.null_distribution or run.growth))


def _frame(run: Run) -> dict[str, Any]:
    return {
        "id": run.id,
        "width": WIDTH,
        "height": HEIGHT,
        "left": LEFT,
        "right": RIGHT,
        "top": TOP,
        "floor": FLOOR,
        "middle": {"x": (LEFT + RIGHT) / 2, "y": (TOP + FLOOR) / 2},
    }


_PLOTS = {
    KEYED_LABELS: (null_plot, null_plot_text),
    RANDOM_KEY_TEST: (decoy_plot, decoy_plot_text),
    DYNAMIC: (growth_plot, growth_plot_text),
}
