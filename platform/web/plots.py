"""Figures as numbers, for the templates to draw."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spellmark.certificates.merkle import node_hash


@dataclass(frozen=True)
class Bar:
    """One accuracy: `share` in [0, 1], `worst` the largest seen where there were many."""

    kind: str
    label: str
    note: str
    share: float
    worst: float | None = None

    @property
    def percent(self) -> str:
        """As people say it."""
        return f"{self.share:.1%}"

    @property
    def width(self) -> str:
        """For the drawing."""
        return f"{self.share:.2%}"

    @property
    def worst_at(self) -> str:
        """For the drawing."""
        return f"{self.worst or 0:.2%}"


@dataclass(frozen=True)
class AccuracyBars:
    """A report card as bars, beside what pure guessing would reach."""

    bars: tuple[Bar, ...]
    chance: float
    lost: float

    @property
    def chance_at(self) -> str:
        """For the drawing."""
        return f"{self.chance:.2%}"

    @property
    def lost_points(self) -> str:
        """What the right key costs, in points."""
        return f"{100 * self.lost:.1f}"


def accuracy_bars(report: Mapping[str, Any], *, classes: int) -> AccuracyBars:
    """The bars of a key lock's report card."""
    wrong = f"mean of {report['wrong_keys']}, worst {report['wrong_max']:.1%}"
    bars = (
        Bar("before", "Before locking", "the model it was made from", report["unprotected"]),
        Bar("right", "Right key", "what your customers get", report["right"]),
        Bar("plain", "No key", "plain images", report["plain"]),
        Bar("wrong", "Wrong keys", wrong, report["wrong_mean"], report["wrong_max"]),
    )
    return AccuracyBars(bars, 1 / classes, report["unprotected"] - report["right"])


def guard_bars(report: Mapping[str, Any]) -> tuple[Bar, ...]:
    """The bars of a guard's report card: shares with the guard and without."""
    return (
        Bar("before", "Right answers", "without the guard", report["accuracy_before"]),
        Bar("right", "Right answers", "with it", report["accuracy_after"]),
        Bar("before", "Confidence", "mean, without the guard", report["confidence_before"]),
        Bar("right", "Confidence", "mean, with it", report["confidence_after"]),
    )


def trigger_bars(report: Mapping[str, Any]) -> tuple[Bar, ...]:
    """The bars of a trigger watermark's report card: shares with the mark and without."""
    return (
        Bar("before", "Right answers", "before", report["accuracy_before"]),
        Bar("right", "Right answers", "with the mark", report["accuracy_after"]),
        Bar("before", "Triggers known", "before", report["unmarked_recall"]),
        Bar("right", "Triggers known", "with the mark", report["recall"]),
    )


def feature_bars(report: Mapping[str, Any]) -> tuple[Bar, ...]:
    """The bars of an external feature's report card: right answers before and after."""
    return (
        Bar("before", "Plain images", "before", report["accuracy_before"]),
        Bar("right", "Plain images", "with the feature", report["accuracy_after"]),
        Bar("before", "In the style", "before", report["styled_before"]),
        Bar("right", "In the style", "with the feature", report["styled_after"]),
    )


@dataclass(frozen=True)
class Step:
    """One level of an inclusion proof: two hashes and the one that they make."""

    left: str
    right: str
    ours_is_left: bool
    parent: str


def proof_steps(leaf: bytes, index: int, size: int, hashes: Sequence[bytes]) -> list[Step]:
    """How an inclusion proof leads from the leaf to the root (RFC 9162, section 2.1.3.2)."""
    steps = []
    position, last, value = index, size - 1, leaf
    for sibling in hashes:
        is_right = position % 2 == 1 or position == last
        left, right = (sibling, value) if is_right else (value, sibling)
        value = node_hash(left, right)
        steps.append(Step(left.hex(), right.hex(), not is_right, value.hex()))
        while is_right and position % 2 == 0 and position:
            position, last = position >> 1, last >> 1
        position, last = position >> 1, last >> 1
    return steps


@dataclass(frozen=True)
class PathNode:
    """A circle of the picture: `role` is `path`, `proof`, `root` or `leaf`."""

    x: float
    y: float
    role: str
    label: str


@dataclass(frozen=True)
class PathPicture:
    """The way from an entry to the root, to be drawn as SVG."""

    width: int
    height: int
    nodes: Sequence[PathNode]
    lines: Sequence[tuple[float, float, float, float]]


def path_picture(index: int, size: int) -> PathPicture:
    """The subtrees on the way from the entry to the root, and those beside it in the proof.

    Each has the entries that it covers under it; the way leans to where the entry lies.
    """
    step, width = 64, 560
    ranges, start, end = [(0, size)], 0, size
    beside: list[tuple[int, int]] = []
    while end - start > 1:
        middle = start + (1 << (end - start - 1).bit_length() - 1)
        other = (middle, end) if index < middle else (start, middle)
        start, end = (start, middle) if index < middle else (middle, end)
        beside.append(other)
        ranges.append((start, end))
    nodes: list[PathNode] = []
    lines: list[tuple[float, float, float, float]] = []
    x, y = width / 2, 30.0
    for depth, covered in enumerate(ranges):
        role = "root" if not depth else "leaf" if depth == len(ranges) - 1 else "path"
        nodes.append(PathNode(x, y, role, _covers(covered)))
        if depth < len(beside):
            side = 1 if beside[depth][0] > covered[0] else -1
            # Near the border it takes a shorter step.
            far = 110.0
            next_x = min(max(x - side * far / 2, 130), width - 130)
            other_x = next_x + side * far * 1.4
            other_x = min(max(other_x, 60), width - 60)
            lines += [(x, y, next_x, y + step), (x, y, other_x, y + step)]
            nodes.append(PathNode(other_x, y + step, "proof", _covers(beside[depth])))
            x, y = next_x, y + step
    return PathPicture(width, int(y) + 36, nodes, lines)


def _covers(part: tuple[int, int]) -> str:
    start, end = part
    return str(start) if end - start == 1 else f"{start}–{end - 1}"
