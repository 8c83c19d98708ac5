"""The options of a guard in plain words: what each buys and what it costs."""

import re
from collections.abc import Mapping
from typing import Any

from protection.options import CHOICE, Choice, Option
from spellmark.watermarks.dynamic.parameters import (
    ENOUGH_BITS,
    MOST_CELLS,
    MOST_STRENGTH,
    MarkParameters,
    recommended,
)

RANGE = "range"
SURE = 0.99

STRENGTH_HELP = (
    "The stronger the mark, the fewer questions tell a copy, and the more of it is left when a "
    "thief rounds the answers or has only some. The weaker, the closer callers are to the model’s "
    "own answers."
)
CELLS_HELP = (
    "Inputs of each class fall into so many cells, each with key bits of its own. Few classes need "
    "several cells to hold a whole key; more than needed weaken the mark in each of them."
)
MARGIN_WORDS = {
    0: (
        "Labels stay as they are",
        "No answer changes its best class. A thief who keeps the labels only, and throws the "
        "probabilities away, leaves no trace.",
    ),
    50: (
        "Close calls, narrow",
        "The key decides the closest answers alone. Spends the least accuracy.",
    ),
    100: (
        "Close calls",
        "The key decides more answers. Spends more accuracy.",
    ),
    200: (
        "Close calls, wide",
        "The key decides the most answers. Spends the most accuracy.",
    ),
}
MARGIN_HELP = (
    "Where the two best classes are close, the key may decide between them, so that labels alone "
    "carry something of the mark. This spends accuracy: the report card will say how much. Whether "
    "it tells a copy made from labels, a rehearsed theft shows; a wider margin need not tell more."
)


def options(card: Mapping[str, Any], chosen: MarkParameters) -> list[Option]:
    """What may be chosen for a model, with what is chosen and what is recommended marked."""
    best = recommended(card["classes"])
    sizes = [1 << n for n in range(MOST_CELLS.bit_length())]
    margins = MARGIN_WORDS | ({} if chosen.label_margin in MARGIN_WORDS else _own(chosen))
    return [
        Option(
            "strength", "Strength", RANGE, STRENGTH_HELP,
            value=chosen.strength, least=5, most=MOST_STRENGTH, unit="‰",
        ),
        Option(
            "cells", "Cells", CHOICE, CELLS_HELP,
            choices=tuple(
                Choice(n, *_cell_words(best.classes, n), n == chosen.cells, n == best.cells)
                for n in sizes
            ),
        ),
        Option(
            "label_margin", "Labels", CHOICE, MARGIN_HELP,
            choices=tuple(
                Choice(value, *told, value == chosen.label_margin, value == best.label_margin)
                for value, told in sorted(margins.items())
            ),
        ),
    ]  # fmt: skip


def cost(parameters: MarkParameters) -> str:
    """What callers see of a guard, in one sentence."""
    moved = parameters.strength / 1000
    labels = (
        "close answers may get another label, which costs accuracy"
        if parameters.label_margin
        else "labels never change"
    )
    return (
        f"Moves up to {_percent(moved)} of the probability mass; the confidence of a sure answer "
        f"falls from {_percent(SURE)} to {_percent((1 - moved) * SURE)}; {labels}."
    )


def describe(parameters: MarkParameters) -> list[tuple[str, str, str]]:
    """The guard in words: what, which, and what it means."""
    told = [
        ("Strength", f"{parameters.strength} ‰", cost(parameters)),
        ("Key bits", _bits_words(parameters), ""),
    ]
    if parameters.cells > 1:
        told.append(("Cells", str(parameters.cells), CELLS_HELP))
    margin = parameters.label_margin
    label, sentence = (_own(parameters) | MARGIN_WORDS)[margin]
    told.append(("Labels", label, sentence))
    return told


def in_short(parameters: MarkParameters) -> str:
    """The guard in one line, such as “strength 50 ‰, 90 key bits, labels unchanged”."""
    parts = [f"strength {parameters.strength} ‰", _bits_words(parameters)]
    if parameters.cells > 1:
        parts.append(f"{parameters.cells} cells")
    parts.append(
        f"close labels decided by the key (margin {parameters.label_margin / 100:g})"
        if parameters.label_margin
        else "labels unchanged"
    )
    return ", ".join(parts)


def read(values: Mapping[str, str], best: MarkParameters) -> MarkParameters:
    """The options as a form sends them; what is missing is as recommended.

    Raises DynamicMarkError.
    """
    found: dict[str, Any] = best.as_dict()
    for name in ("strength", "cells", "label_margin"):
        if name in values:
            value = values[name]
            found[name] = int(value) if re.fullmatch("[0-9]{1,9}", value) else value
    return MarkParameters.from_dict(found)


def keygen_command(parameters: MarkParameters) -> str:
    """What makes the same key on the owner's own machine."""
    told = " ".join(
        f"--{name.replace('_', '-')} {value}" for name, value in parameters.as_dict().items()
    )
    return f"spellmark keygen NAME.spellkey --scheme dynamic-watermark {told}"


def _cell_words(classes: int, cells: int) -> tuple[str, str]:
    bits = MarkParameters(classes=classes, cells=cells).tail_bits
    few = " Too few for the strictest claims." if bits < ENOUGH_BITS else ""
    return str(cells), f"{bits:,} key bits.{few}"


def _bits_words(parameters: MarkParameters) -> str:
    told = f"{parameters.tail_bits:,} key bits"
    return f"{told} and {parameters.label_bits:,} in labels" if parameters.label_bits else told


def _own(parameters: MarkParameters) -> dict[int, tuple[str, str]]:
    """A margin that the page does not offer, as a key file may have it."""
    margin = parameters.label_margin
    label = f"Answers whose two best classes are closer than {margin / 100:g}, in log-odds"
    return {margin: (label, "The key decides between the two.")}


def _percent(share: float) -> str:
    # A line never ends before the sign.
    return f"{100 * share:.3g}\N{NO-BREAK SPACE}%"
