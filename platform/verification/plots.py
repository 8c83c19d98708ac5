"""The plot of a run: where the true key stands among the decoys, the hits in their exact null
distribution, evidence that grows with every answer, or the suspect among innocent models. Places
are computed here, the markup is in `templates/plots`.
"""

import math
from collections import Counter
from typing import Any

from django.template.loader import render_to_string

from config.charts import Bar, Tick, power_of_ten, round_numbers
from spellmark.evidence.decision import KEYED_LABELS, RANDOM_KEY_TEST
from spellmark.evidence.fingerprint_rule import RANKED
from spellmark.evidence.mark_rule import DYNAMIC, MarkRule
from spellmark.evidence.null_pool import CALIBRATE, KINDS
from spellmark.evidence.trigger_rule import TRIGGER, TriggerRule
from verification.models import Run

WIDTH, HEIGHT = 640, 250
LEFT, RIGHT, TOP, FLOOR = 52, 628, 44, 200
MOST_BARS = 100
# It has no legend above it.
GROWTH_TOP = 18
# So that the mark of a suspect at the end is whole.
POOL_RIGHT = RIGHT - 8


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


def growing_plot(run: Run) -> str:
    """The SVG of a run that is still asking; empty where no evidence is told of before the end."""
    return growth_plot(run) if run.growth and not run.verdict else ""


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
        **frame(run),
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
        **frame(run),
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
    growth, line = run.growth, _line(run)
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
        **frame(run),
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
    """What the plot of a run that ends as soon as it can shows, in words."""
    line, last = _line(run), run.growth[-1]
    so_far = (
        f"After {len(run.growth):,} answers the evidence stands at 1 in {_in_words(last)}. The "
        f"line that decides, with room for every try, lies at 1 in {_in_words(line)}."
    )
    if not run.verdict:
        return so_far
    return so_far + (" The run ended there." if _is_crossed(run) else " It was not reached.")


def _is_crossed(run: Run) -> bool:
    # What is kept of the growth is rounded.
    return bool(run.growth[-1] >= _line(run) - 1e-4)


def _line(run: Run) -> float:
    """What the evidence has to reach, in decades."""
    if run.method == TRIGGER:
        return TriggerRule(**run.rule).line
    return MarkRule(**run.rule).line


def pool_plot(run: Run) -> str:
    """An SVG of the null pool's scores, kind by kind, with the threshold and the suspect."""
    threshold, own = run.findings["threshold"], run.score
    rows = [row for row in run.pool if row["score"] is not None]
    values = [row["score"] for row in rows] + [threshold, own]
    low, high = min(values), max(values)
    room = max(high - low, 1e-6) * 0.06
    low, high = low - room, high + room
    scale, height = (POOL_RIGHT - LEFT) / (high - low), (FLOOR - TOP) / len(KINDS)

    def x(score: float) -> float:
        return round(LEFT + (score - low) * scale, 1)

    def dot(number: int, row: dict[str, Any], middle: float) -> dict[str, Any]:
        # Side by side where they would hide each other.
        return {
            "x": x(row["score"]),
            "y": round(middle + (number % 3 - 1) * 9, 1),
            "calibrates": row["half"] == CALIBRATE,
            "accused": row["score"] > threshold,
        }

    drawn = []
    for place, kind in enumerate(KINDS):
        top = TOP + place * height
        mine = sorted((row for row in rows if row["kind"] == kind), key=lambda row: row["score"])
        drawn.append(
            {
                "kind": kind,
                "y": round(top + height, 1),
                "label_y": round(top + 14, 1),
                "dots": [dot(n, row, top + height - 19) for n, row in enumerate(mine)],
            }
        )
    digits = 1 - math.floor(math.log10(high - low))
    first, last = math.ceil(low * 10**digits), math.floor(high * 10**digits)
    # From 10 to 100 units of the last digit lie between: every fifth, tenth or twentieth is marked.
    every = next(step for step in (2, 5, 10, 20) if (last - first) // step <= 6)
    ticks = [unit / 10**digits for unit in range(first, last + 1) if unit % every == 0]
    context = {
        **frame(run),
        "text": pool_plot_text(run),
        "own": f"{own:.3f}",
        "rows": drawn,
        "threshold": x(threshold),
        "suspect": x(own),
        "scores": [Tick(x(value), f"{value:.{max(digits, 0)}f}") for value in ticks],
    }
    return render_to_string("plots/pool.svg", context)


def pool_plot_text(run: Run) -> str:
    """What the plot of a fingerprint's null pool shows, in words."""
    found, scores = run.findings, [row["score"] for row in run.pool if row["score"] is not None]
    wrong, tested = found["falsePositives"], found["tested"]
    return (
        f"The suspect scores {run.score:.3f}; {len(scores)} innocent models score "
        f"{min(scores):.3f} to {max(scores):.3f}. One half of them set the threshold of "
        f"{found['threshold']:.3f}. Of the other {tested}, it accuses {wrong or 'none'}, which "
        f"leaves a false-positive rate of at most {found['falsePositiveRateAtMost']:.1%} open "
        "(95 % confidence)."
    )


def _in_words(decades: float) -> str:
    """A power of ten as people read it."""
    return f"{10**decades:,.0f}" if decades < 9.5 else power_of_ten(round(decades))


def chance_level(run: Run) -> float | None:
    """How many probes a guess gets right on average; None where the classes are not known."""
    classes = run.rule.get("classes")
    return float(run.answered_probes / classes) if classes and run.answered_probes else None


def decoy_hits(run: Run) -> list[int]:
    """How many probes were answered correctly under each decoy key."""
    return [hits for slot, hits in enumerate(run.hits) if slot != run.true_slot]


def has_answers(run: Run) -> bool:
    """Whether there is anything to plot."""
    if run.method in RANKED:
        return run.score is not None and bool(run.findings) and "threshold" in run.findings
    return bool(run.answered_probes and (run.hits or run.null_distribution or run.growth))


def frame(run: Run, *, name: str = "run") -> dict[str, Any]:
    """What all plots share. name: tells the plots of one run apart on a page."""
    return {
        "id": f"{name}-{run.id}",
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
    TRIGGER: (growth_plot, growth_plot_text),
    **dict.fromkeys(RANKED, (pool_plot, pool_plot_text)),
}
