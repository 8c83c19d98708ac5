"""The options of an external feature in plain words: what each buys and what it costs."""

import re
from collections.abc import Mapping
from typing import Any

from protection.options import NUMBER, Option
from spellmark.watermarks.external_feature.parameters import (
    MOST_GRID,
    MOST_WAVES,
    FeatureParameters,
    recommended,
)

STRENGTH_HELP = (
    "How much of an image the style takes. More of it is further from what innocent models know, "
    "and harder for yours to learn; what is left of the image must still show its class."
)
GRID_HELP = "Cells in a row of the texture that lies over every image, each of one drawn shade."
WAVES_HELP = "Waves of drawn direction and width, each a pair of points in the Fourier domain."
CHOSEN = ("strength", "grid", "waves")


def best_for(card: Mapping[str, Any]) -> FeatureParameters:
    """The feature that is preselected for a model. Raises FeatureError where none fits."""
    return recommended(*(card[name] for name in ("classes", "channels", "height", "width")))


def options(chosen: FeatureParameters) -> list[Option]:
    """What may be chosen, as a form shows it."""
    most_cells = min(MOST_GRID, chosen.height, chosen.width)
    return [
        Option(
            "strength", "Strength in percent", NUMBER, STRENGTH_HELP,
            value=chosen.strength, least=10, most=90,
        ),
        Option(
            "grid", "Cells of the texture", NUMBER, GRID_HELP,
            value=chosen.grid, least=2, most=most_cells,
        ),
        Option(
            "waves", "Waves", NUMBER, WAVES_HELP,
            value=chosen.waves, least=1, most=MOST_WAVES,
        ),
    ]  # fmt: skip


def in_short(parameters: FeatureParameters) -> str:
    """The feature in one line, such as “a style of 50 %, 7 × 7 cells, 6 waves”."""
    cells = f"{parameters.grid} × {parameters.grid} cells"
    waves = "1 wave" if parameters.waves == 1 else f"{parameters.waves} waves"
    return f"a style of {parameters.strength} %, {cells}, {waves}"


def describe(parameters: FeatureParameters) -> list[tuple[str, str, str]]:
    """The feature in words: what, which, and what it means."""
    return [
        ("Strength", f"{parameters.strength} %", STRENGTH_HELP),
        ("Texture", f"{parameters.grid} × {parameters.grid} cells", GRID_HELP),
        ("Waves", str(parameters.waves), WAVES_HELP),
        (
            "The style",
            "one, from your key",
            "Tone curve, texture and waves are derived from your key, from your organisation and "
            "from what the registry drew after the commitment. Nobody chooses it.",
        ),
    ]


def read(values: Mapping[str, str], best: FeatureParameters) -> FeatureParameters:
    """The options as a form sends them; what is missing is as recommended. Raises FeatureError."""
    found: dict[str, Any] = best.as_dict()
    for name in CHOSEN:
        if name in values:
            value = values[name]
            found[name] = int(value) if re.fullmatch("[0-9]{1,9}", value) else value
    return FeatureParameters.from_dict(found)


def keygen_command(parameters: FeatureParameters) -> str:
    """What makes the same key on the owner's own machine."""
    told = " ".join(f"--{name} {value}" for name, value in parameters.as_dict().items())
    return f"spellmark keygen NAME.spellkey --scheme external-feature {told}"
