"""The transcript of a run: JSON lines that hold every exchange.

The first line is the header (what was decided before the first query, and what the test needs to be
redone), each further line one exchange: one probe image under a part of the keys. The standard
library alone: outsiders verify with this.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from spellmark.errors import SpellmarkError

FORMAT = "spellmark-transcript/v1"


class TranscriptError(SpellmarkError):
    """A transcript that does not hold what it should."""


@dataclass(frozen=True)
class Exchange:
    """One request to the suspect and what came of it.

    `probe` numbers the probe image from 0, `label` is its class, `first_slot` the slot of the first
    of `labels`, the classes that the suspect gave. `state` is `answered`, `failed` (the suspect
    gave no usable answer) or `lost` (sent, but the answer was never recorded; not sent again).
    `probabilities` are those of the one image of the request, where the method reads them and the
    suspect gave any.
    """

    number: int
    probe: int
    image_index: int
    image_sha256: str
    label: int
    first_slot: int
    request_sha256: str
    state: str
    status: int | None = None
    seconds: float | None = None
    answer_sha256: str | None = None
    tls_certificate_sha256: str | None = None
    level: str | None = None
    labels: tuple[int, ...] = ()
    probabilities: tuple[float, ...] = ()
    error: str = ""

    @classmethod
    def of(cls, line: Mapping[str, Any]) -> "Exchange":
        """The exchange of a transcript's line, as JSON gives it."""
        lists = {"labels": (), "probabilities": (), **line}
        return cls(
            **{**lists, **{name: tuple(lists[name]) for name in ("labels", "probabilities")}}
        )


def write(header: Mapping[str, Any], exchanges: Iterable[Exchange]) -> bytes:
    """The transcript's bytes; the same content always gives the same bytes."""
    lines = [{"format": FORMAT, **header}, *(asdict(exchange) for exchange in exchanges)]
    return b"".join(
        json.dumps(line, sort_keys=True, separators=(",", ":"), allow_nan=False).encode() + b"\n"
        for line in lines
    )


def read(lines: bytes) -> tuple[dict[str, Any], list[Exchange]]:
    """Header and exchanges. Raises TranscriptError."""
    try:
        header, *rest = (json.loads(line) for line in lines.splitlines())
        if header["format"] != FORMAT:
            raise ValueError("unknown format")
        return header, [Exchange.of(line) for line in rest]
    except (ValueError, TypeError, KeyError) as error:
        raise TranscriptError(
            "The transcript cannot be read.", hint="Ask for the evidence bundle again."
        ) from error


def complete_answers(
    exchanges: Iterable[Exchange], slots: int
) -> tuple[list[int], list[list[int]]]:
    """The classes of the probes that count, (n,), and the answers to them by slot, (slots, n).

    A probe counts only when every slot was answered: one that misses some would favour the others.
    Raises ValueError for a slot that was answered twice, or that there is not.
    """
    labels: dict[int, int] = {}
    answers: dict[int, list[int | None]] = {}
    for exchange in exchanges:
        if exchange.state == "answered":
            labels[exchange.probe] = exchange.label
            row = answers.setdefault(exchange.probe, [None] * slots)
            asked = slice(exchange.first_slot, exchange.first_slot + len(exchange.labels))
            if row[asked] != [None] * len(exchange.labels):
                raise ValueError("a slot was answered twice, or there is no such slot")
            row[asked] = exchange.labels
    complete = [probe for probe in labels if None not in answers[probe]]
    by_slot = [list(column) for column in zip(*(answers[probe] for probe in complete), strict=True)]
    return [labels[probe] for probe in complete], by_slot or [[] for _ in range(slots)]


def count_queries(exchanges: Iterable[Exchange]) -> int:
    """How many requests were sent to the suspect, answered or not."""
    return sum(1 for _ in exchanges)


def answer_digests(exchanges: Iterable[Exchange]) -> set[str]:
    """The digests of the raw answers that a transcript's exchanges name."""
    return {exchange.answer_sha256 for exchange in exchanges if exchange.answer_sha256}
