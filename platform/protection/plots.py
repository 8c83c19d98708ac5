"""The plots of a report card. Places are computed here, the markup is `templates/protection`."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from django.template.loader import render_to_string

from config.charts import Bar, Tick, round_numbers
from protection.attacks import COMPARISONS, sentence, title
from spellmark.locks.prompt_lock.public_editor import public_digest

WIDTH, HEIGHT = 640, 296
LEFT, RIGHT, TOP, FLOOR = 52, 606, 84, 240
LABEL_HEIGHT = 24
BARS = 50


class Mark(NamedTuple):
    """A line through the histogram that begins at `line`, beside its label at `top`."""

    at: float
    top: int
    line: int
    label: str
    kind: str
    anchor: str


def wrong_key_plot(report: Mapping[str, Any], *, classes: int, name: str) -> str:
    """An SVG histogram of the accuracies under wrong keys, safe to embed; `name` tells it apart.

    Empty for a report card that does not hold them one by one.
    """
    wrong: Sequence[float] = report.get("wrong") or ()
    if not wrong:
        return ""
    counts = [0] * BARS
    for share in wrong:
        counts[min(int(share * BARS), BARS - 1)] += 1
    step = (RIGHT - LEFT) / BARS
    scale = (FLOOR - TOP) / max(counts)
    context = {
        "name": name,
        "text": wrong_key_text(report, classes=classes),
        "width": WIDTH,
        "height": HEIGHT,
        "left": LEFT,
        "right": RIGHT,
        "floor": FLOOR,
        "middle": {"x": (LEFT + RIGHT) / 2, "y": (TOP + FLOOR) / 2},
        "bars": [
            # One key among thousands must still be seen.
            _bar(LEFT + number * step, step, max(count * scale, 1.5))
            for number, count in enumerate(counts)
            if count
        ],
        "counts": [
            Tick(round(FLOOR - n * scale, 1), f"{n:,}")
            for n in round_numbers(max(counts), steps=5)
            if n
        ],
        "shares": [Tick(_x(n / 10), f"{10 * n} %") for n in range(0, 11, 2)],
        "marks": _marks(report, classes),
    }
    return render_to_string("protection/wrong_keys.svg", context)


def wrong_key_text(report: Mapping[str, Any], *, classes: int) -> str:
    """What the plot shows, in words."""
    return (
        f"Under {report['wrong_keys']:,} wrong keys the locked model is right on "
        f"{report['wrong_mean']:.1%} of the images on average; 95 in 100 keys stay at or below "
        f"{report['wrong_p95']:.1%}, and the best reaches {report['wrong_max']:.1%}. The right key "
        f"reaches {report['right']:.1%}, plain images {report['plain']:.1%}, and guessing "
        f"{1 / classes:.1%}."
    )


class AttackBar(NamedTuple):
    """What one attack reached, and what it cost the thief."""

    kind: str
    label: str
    sentence: str
    percent: str
    width: str
    cost: str


def attack_bars(results: Sequence[Mapping[str, Any]]) -> list[AttackBar]:
    """The results of a rehearsal, the best for the thief first."""
    return [
        AttackBar(
            "comparison" if one["name"] in COMPARISONS else "attack",
            title(one["name"]),
            _with_editors(sentence(one["name"]), one.get("details", {}).get("editors", ())),
            f"{one['accuracy']:.1%}",
            f"{one['accuracy']:.2%}",
            f"{one['labels_used']:,} labelled images, {one['evaluations']:,} evaluations, "
            f"{_took(one['seconds'])}",
        )
        for one in sorted(results, key=lambda one: -one["accuracy"])
    ]


def _with_editors(sentence: str, editors: Sequence[str]) -> str:
    """The sentence and, where editors were tried, which: by the beginnings of their digests."""
    told = ", ".join("ours" if public_digest().startswith(one) else f"{one}…" for one in editors)
    return f"{sentence} Tried: {told}." if told else sentence


class Theft(NamedTuple):
    """A copy of a guarded API, and what the owner's test said of it."""

    label: str
    sentence: str
    told: str
    network: str
    queries: str
    accuracy: str
    verdict: str
    p_value: float | None
    questions: int
    reason: str


def thefts(results: Sequence[Mapping[str, Any]]) -> list[Theft]:
    """The results of a rehearsed theft, as they were run."""
    return [
        Theft(
            title(one["name"]),
            sentence(one["name"]),
            ", ".join(
                f"{name} {value}"
                for name, value in one["details"].items()
                if name not in ("reason", "client")
            ),
            one["architecture"],
            f"{one['queries']:,}",
            f"{one['accuracy']:.1%}",
            one["verdict"],
            one["p_value"],
            one["questions"],
            one["details"].get("reason", ""),
        )
        for one in results
    ]


class Removal(NamedTuple):
    """What is left of a marked model, and what the owner's test said of it."""

    label: str
    sentence: str
    told: str
    accuracy: str
    verdict: str
    p_value: float
    triggers: str


def removals(results: Sequence[Mapping[str, Any]]) -> list[Removal]:
    """The results of rehearsed removals, as they were run."""
    return [
        Removal(
            title(one["name"]),
            sentence(one["name"]),
            ", ".join(
                f"{name.replace('_', ' ')} {value:g}" for name, value in one["details"].items()
            ),
            f"{one['accuracy']:.1%}",
            one["verdict"],
            one["p_value"],
            f"{one['hits']} of {one['questions']}",
        )
        for one in results
    ]


class Group(NamedTuple):
    """Bars of one kind, the best for the thief first."""

    title: str
    help: str
    bars: list[tuple[str, str, str]]


def spell_groups(report: Mapping[str, Any]) -> list[Group]:
    """What a prompt lock's report card has beside wrong spells, as bars: label, percent, width."""
    near, count = report["near_mean"], len(report["near"])
    listed, help_ = report["prompts"], ""
    if report["bits"] is None:
        listed = {**listed, "the best of all": report["prompts_max"]}
        help_ = " Families on average: a list by name would tell which of them is yours."
    # Report cards from before the control lack it.
    geometry = report.get("geometry", {})
    groups = [
        Group(
            "Near the spell",
            f"{count} texts that differ from it by typing errors, other words or other endings. "
            "They are not kept, for they would tell it.",
            _bars({"on average": near, "the best of them": report["near_max"]}),
        ),
        Group(
            "Prompts that a thief would try",
            f"Read by the editor’s text encoder. The lock was trained against none of them.{help_}",
            _bars(listed),
        ),
        Group(
            "Images changed without an editor",
            "The lock was trained against these, each in many strengths.",
            _bars(report["trained_operations"]),
        ),
        Group(
            "Images changed in other ways",
            "The lock was not trained against these.",
            _bars(report["held_out_operations"]),
        ),
        Group(
            "The right spell, blended in more or less",
            "The share is no secret: it stands in the commitment.",
            _bars({f"{alpha} %": share for alpha, share in report["alphas"].items()}, sort=False),
        ),
        Group(
            "The editor’s way without an edit",
            "The control: padded, or resized and back, and blended in like an edit. It must not "
            "unlock.",
            _bars({_squares(size): share for size, share in geometry.items()}, sort=False),
        ),
    ]
    return [group for group in groups if group.bars]


def _squares(size: str) -> str:
    return "in the images’ own size" if size == "0" else f"in squares of {size} pixels"


def _bars(shares: Mapping[str, float], *, sort: bool = True) -> list[tuple[str, str, str]]:
    rows = sorted(shares.items(), key=lambda row: -row[1]) if sort else list(shares.items())
    return [(label, f"{share:.1%}", f"{share:.2%}") for label, share in rows]


def _marks(report: Mapping[str, Any], classes: int) -> list[Mark]:
    """Right key, plain images and guessing, each label on a line of its own.

    A label hangs on its line like a flag, over the lines beside it: so those begin below it.
    """
    wanted = [
        (report["right"], "right", "right key"),
        (report["plain"], "plain", "plain images"),
        (1 / classes, "chance", "guessing"),
    ]
    to_the_left = sorted((mark for mark in wanted if mark[0] > 0.7), reverse=True)
    to_the_right = sorted(mark for mark in wanted if mark[0] <= 0.7)
    return [
        Mark(
            _x(share),
            18 + LABEL_HEIGHT * number,
            8 + LABEL_HEIGHT * number,
            f"{label} {share:.1%}",
            kind,
            "end" if share > 0.7 else "start",
        )
        for number, (share, kind, label) in enumerate([*to_the_left, *to_the_right])
    ]


def _took(seconds: float) -> str:
    if seconds < 1:
        return "under a second"
    return f"{seconds:,.0f} seconds" if seconds < 120 else f"{seconds / 60:,.0f} minutes"


def _x(share: float) -> float:
    return round(LEFT + share * (RIGHT - LEFT), 1)


def _bar(left: float, width: float, height: float) -> Bar:
    return Bar(
        round(left + 0.5, 1), round(FLOOR - height, 1), round(width - 1, 1), round(height, 1)
    )
