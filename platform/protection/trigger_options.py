"""The options of a trigger watermark in plain words: what each buys and what it costs."""

import re
from collections.abc import Mapping
from typing import Any

from protection.options import NUMBER, Option
from spellmark.evidence.trigger_rule import TriggerRule
from spellmark.watermarks.trigger.parameters import (
    LEAST_DIGITS,
    LEAST_TRIGGERS,
    MOST_DIGITS,
    MOST_QUERIES,
    MOST_TRIGGERS,
    TriggerParameters,
    recommended,
)

TRIGGERS_HELP = (
    "Each run opens triggers that no run has opened before, so this is how often you can claim: a "
    "full copy takes 8 to 16 a run, an innocent suspect takes as many as a run may open. More of "
    "them take more of the model’s memory."
)
QUERIES_HELP = (
    "The most triggers that one run opens, one a request. A copy that a thief trained further has "
    "forgotten some, and takes more of them to be told."
)
DIGITS_HELP = (
    "6 stands for one in a million: the chance that any innocent model is ever called a match "
    "under all your trigger keys together. It is committed to with the key."
)
CHOSEN = ("triggers", "queries", "digits")


def best_for(card: Mapping[str, Any]) -> TriggerParameters:
    """The watermark that is preselected for a model. Raises TriggerMarkError where none fits."""
    return recommended(*(card[name] for name in ("classes", "channels", "height", "width")))


def options(chosen: TriggerParameters) -> list[Option]:
    """What may be chosen, as a form shows it."""
    return [
        Option(
            "triggers", "Triggers in reserve", NUMBER, TRIGGERS_HELP,
            value=chosen.triggers, least=LEAST_TRIGGERS, most=MOST_TRIGGERS,
        ),
        Option(
            "queries", "Triggers that a run may open", NUMBER, QUERIES_HELP,
            value=chosen.queries, least=1, most=MOST_QUERIES,
        ),
        Option(
            "digits", "Zeros of the accepted risk", NUMBER, DIGITS_HELP,
            value=chosen.digits, least=LEAST_DIGITS, most=MOST_DIGITS,
        ),
    ]  # fmt: skip


def in_short(parameters: TriggerParameters) -> str:
    """The watermark in one line, such as “256 triggers, up to 64 a run, alpha 1 in 1,000,000”."""
    return (
        f"{parameters.triggers:,} triggers, up to {parameters.queries} a run, "
        f"alpha {_risk(parameters)}"
    )


def describe(parameters: TriggerParameters) -> list[tuple[str, str, str]]:
    """The watermark in words: what, which, and what it means."""
    cells = f"{parameters.grid} × {parameters.grid} cells"
    return [
        ("Triggers in reserve", f"{parameters.triggers:,}", TRIGGERS_HELP),
        ("Triggers that a run may open", str(parameters.queries), QUERIES_HELP),
        ("Accepted risk (alpha)", _risk(parameters), DIGITS_HELP),
        (
            "A trigger",
            f"{cells}, each of one random shade",
            "Images and labels are derived from your key, from your organisation and from what the "
            "registry drew after the commitment. Nobody chooses one.",
        ),
    ]


def promise(parameters: TriggerParameters) -> str:
    """What the first run under the key can show, in one sentence. Raises TriggerRuleError."""
    rule = TriggerRule(
        alpha=parameters.alpha,
        probes=parameters.queries,
        minimum_probes=1,
        classes=parameters.classes,
        triggers=parameters.triggers,
    )
    runs = parameters.triggers // parameters.queries
    return (
        f"A run can show p = {rule.smallest_p:.1g} at the best; a match needs at most "
        f"{_risk(parameters)}. The reserve lasts for {runs} runs at the least."
    )


def _risk(parameters: TriggerParameters) -> str:
    return f"1 in {10**parameters.digits:,}"


def read(values: Mapping[str, str], best: TriggerParameters) -> TriggerParameters:
    """The options as a form sends them; what is missing is as recommended.

    Raises TriggerMarkError.
    """
    found: dict[str, Any] = best.as_dict()
    for name in CHOSEN:
        if name in values:
            value = values[name]
            found[name] = int(value) if re.fullmatch("[0-9]{1,9}", value) else value
    return TriggerParameters.from_dict(found)


def keygen_command(parameters: TriggerParameters) -> str:
    """What makes the same key on the owner's own machine."""
    told = " ".join(f"--{name} {value}" for name, value in parameters.as_dict().items())
    return f"spellmark keygen NAME.spellkey --scheme trigger-watermark {told}"
