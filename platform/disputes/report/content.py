"""What a report says. The PDF, the page and the README only lay it out.

Everything is plain text: what users wrote is never part of a template's own language.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Fact:
    """A line of a table. `mono` is for digests and other bytes to be compared."""

    label: str
    lines: tuple[str, ...]
    mono: bool = False


@dataclass(frozen=True)
class Table:
    """Facts under a heading, with a sentence on what they are for."""

    title: str
    facts: tuple[Fact, ...]
    note: str = ""


@dataclass(frozen=True)
class RunLine:
    """A run in a list of runs."""

    number: str
    id: str
    suspect: str
    method: str
    evidence_class: str
    outcome: str
    p_value: str
    alpha: str
    probes: str
    queries: str
    date: str


@dataclass(frozen=True)
class RunSection:
    """A run in full. `plot` is an SVG, empty for a run without answers."""

    line: RunLine
    meaning: str
    reason: str
    plot: str
    plot_text: str
    tables: tuple[Table, ...]


@dataclass(frozen=True)
class Demand:
    """A demand of the protocol; each of `answers` are runs, a state, and how it came about."""

    number: int
    sentence: str
    answers: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class Step:
    """A step of the check without us: what it is for, and what to type."""

    title: str
    text: str
    commands: tuple[str, ...] = ()


@dataclass(frozen=True)
class Content:
    """A report. Pairs are a name and what is said of it."""

    title: str
    organisation: str
    number: int
    date: str
    time: str
    description: tuple[str, ...]
    about: Table
    outcomes: tuple[tuple[str, int], ...]
    claimed: str
    found: str
    how_sure: tuple[str, ...]
    runs: tuple[RunSection, ...]
    report_cards: tuple[Table, ...]
    outside: tuple[RunLine, ...]
    evidence_classes: tuple[tuple[str, str], ...]
    limits: tuple[str, ...]
    demands: tuple[Demand, ...]
    conclusion: str
    answers: tuple[Table, ...]
    protocol: tuple[str, ...]
    steps: tuple[Step, ...]
    trusted: Table
    files: tuple[tuple[str, str], ...]
    glossary: tuple[tuple[str, str], ...]

    @property
    def run_lines(self) -> tuple[RunLine, ...]:
        """The runs of the case as a list."""
        return tuple(run.line for run in self.runs)
