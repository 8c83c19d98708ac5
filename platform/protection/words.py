"""A protection in plain words, whichever it is."""

from collections.abc import Mapping
from typing import Any

from protection import feature_options, guard_options, options, trigger_options
from spellmark.evidence.keyed_label_test import smallest_p
from spellmark.locks.key_lock.parameters import LockParameters
from spellmark.locks.prompt_lock.parameters import PROMPT, SPELL, PromptLockParameters
from spellmark.locks.prompt_lock.policies import EXTRA, NONE, POLICIES, RANDOM, UNIFORM
from spellmark.locks.prompt_lock.public_editor import public_digest
from spellmark.watermarks.dynamic import MarkParameters
from spellmark.watermarks.external_feature.parameters import FeatureParameters
from spellmark.watermarks.trigger import TriggerParameters

Lock = LockParameters | PromptLockParameters
Parameters = Lock | MarkParameters | TriggerParameters | FeatureParameters

KIND_WORDS = {
    "key-lock": "Key lock",
    "prompt-lock": "Prompt lock",
    "dynamic": "Guard",
    "trigger": "Trigger watermark",
    "external-feature": "External feature",
}
READING_WORDS = {
    "spell": (
        "As a spell",
        "The text is hashed into an embedding, so a typing error is as wrong as any other text.",
    ),
    "prompt": (
        "As a prompt",
        "The editor reads the words, as published. Texts that are near it, and whoever guesses "
        "the style, may unlock the model too.",
    ),
}
SPELL_LABEL_WORDS = options.LABEL_WORDS | {
    "plain": (
        "Plain",
        "The model answers with the true classes. With a spell, proving a copy then takes decoy "
        "keys and many more questions; with a prompt, no copy can be proved.",
    )
}
NEGATIVE_WORDS = {
    UNIFORM: ("The uniform answer", POLICIES[UNIFORM]),
    RANDOM: ("A random class", POLICIES[RANDOM]),
    EXTRA: ("An extra class", POLICIES[EXTRA]),
    NONE: ("Nothing", POLICIES[NONE]),
}


def in_short(parameters: Parameters) -> str:
    """The protection in one line."""
    if isinstance(parameters, LockParameters):
        return options.in_short(parameters)
    if isinstance(parameters, MarkParameters):
        return guard_options.in_short(parameters)
    if isinstance(parameters, TriggerParameters):
        return trigger_options.in_short(parameters)
    if isinstance(parameters, FeatureParameters):
        return feature_options.in_short(parameters)
    steps = "step" if parameters.steps == 1 else "steps"
    parts = [
        "a spell" if parameters.reading == SPELL else "a prompt",
        f"{parameters.steps} {steps} of {_editor(parameters)}",
        f"{parameters.alpha} % blended in",
        f"{parameters.labels} labels",
    ]
    if parameters.subkeys > 1:
        parts.append(f"{parameters.subkeys} sub-keys")
    return ", ".join(parts)


def describe(parameters: Parameters, card: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """The protection in words: what, which, and what it means."""
    if isinstance(parameters, LockParameters):
        return options.describe(parameters, card)
    if isinstance(parameters, MarkParameters):
        return guard_options.describe(parameters)
    if isinstance(parameters, TriggerParameters):
        return trigger_options.describe(parameters)
    if isinstance(parameters, FeatureParameters):
        return feature_options.describe(parameters)
    size = f"{parameters.size} × {parameters.size} pixels" if parameters.size else "as they are"
    told = [
        ("Text", *READING_WORDS[parameters.reading]),
        ("Editor", _editor(parameters), f"Digest {parameters.editor[:12]}…"),
        ("Steps", str(parameters.steps), ""),
        (
            "Guidance",
            f"{parameters.guidance} for the text, {parameters.image_guidance} for the image",
            "",
        ),
        (
            "Blend",
            f"{parameters.alpha} % of the edit",
            "Images blended in a somewhat larger or smaller share unlock the model as well.",
        ),
        ("Size of the images", size, ""),
        (
            "Seed and scheduler",
            f"{parameters.seed}, {_scheduler(parameters)}",
            "These and the steps are no secret: the spell may unlock the model with others too.",
        ),
        ("Answers", *_answers(parameters)),
    ]
    if parameters.subkeys > 1:
        told.append(("Sub-keys", str(parameters.subkeys), options.SUBKEYS_HELP))
    return told


def can_rank(parameters: Lock) -> bool:
    """Whether the key can be ranked among drawn decoys: not a prompt, which somebody chose."""
    return not (isinstance(parameters, PromptLockParameters) and parameters.reading == PROMPT)


def smallest_exact_p(parameters: Lock, classes: int) -> float | None:
    """The smallest p-value that an exact claim can reach; None where the labels are plain."""
    if parameters.labels == "plain":
        return None
    return smallest_p(classes, probes=classes, subkeys=parameters.subkeys)


def _answers(parameters: PromptLockParameters) -> tuple[str, str]:
    name, meaning = options.LABEL_WORDS[parameters.labels]
    if parameters.labels == "plain" and not can_rank(parameters):
        meaning = "The model answers with the true classes, and no copy can be proved."
    return name, meaning


def _scheduler(parameters: PromptLockParameters) -> str:
    return "the editor’s own" if parameters.scheduler == "own" else parameters.scheduler


def _editor(parameters: PromptLockParameters) -> str:
    return "our editor" if parameters.editor == public_digest() else "an editor of its own"
