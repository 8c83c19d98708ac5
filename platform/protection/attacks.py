"""What attacks on protections are called on pages, beside the library's catalogues of them."""

from spellmark.attacks.extract.catalogue import ATTACKS as ON_GUARDS
from spellmark.attacks.key_lock.catalogue import ATTACKS as ON_KEY_LOCKS
from spellmark.attacks.prompt_lock.catalogue import ATTACKS as ON_PROMPT_LOCKS
from spellmark.attacks.trigger.catalogue import ATTACKS as ON_TRIGGERS

# By the kind of the protection.
ATTACKS = {
    "key-lock": ON_KEY_LOCKS,
    "prompt-lock": ON_PROMPT_LOCKS,
    "dynamic": ON_GUARDS,
    "trigger": ON_TRIGGERS,
}

BUDGET_WORDS = {
    "quick": "Quick: minutes, against a weaker thief than there will be.",
    "full": "Full: the published budgets and more. Hours.",
}

# One attack has several results: what the thief gains by the locked model shows beside what the
# same images give without it.
PARTS = {
    "fine-tune-locked": "The locked model, trained further.",
    "fine-tune-head": "The locked model, of which the last layer alone is trained.",
    "fine-tune-norms": "The locked model, of which the normalisation alone is trained.",
    "other-seed": "The right spell and editor, with other noise.",
    "other-steps": "The right spell and editor, with another number of steps.",
    "other-scheduler": "The right spell and editor, with another scheduler.",
    "other-guidance": "The right spell and editor, with other guidance.",
    "other-alpha": "The right spell and editor, with more or less of the edit blended in.",
    "fine-tune-base": "For comparison: the model from before the lock, trained further.",
    "from-scratch": "For comparison: a fresh model, trained on the same images alone.",
}
TITLES = {
    "swaps-accuracy": "Swaps by accuracy",
    "swaps-cross-entropy": "Swaps by cross-entropy",
    "batch-norm": "Batch statistics",
    "relaxed-key-swaps": "Relaxed key, then swaps",
    "bypass-block": "Bypass of each block",
    "bypass-pixel": "Bypass of each pixel",
    "fine-tune": "Fine-tuning",
    "fine-tune-locked": "Fine-tuning, all layers",
    "fine-tune-head": "Fine-tuning, last layer",
    "fine-tune-norms": "Fine-tuning, normalisation",
    "fine-tune-base": "Fine-tuning without the lock",
    "from-scratch": "Training from scratch",
    "ciphertext-only": "Locked images only",
    "prompt-list": "A list of prompts",
    "near-texts": "Texts near the spell",
    "other-settings": "The right spell, other settings",
    "other-alpha": "Another blend",
    "matched-moments": "Moments of caught images",
    "copied-editor": "A copy of the editor",
    "relaxed-spell": "Spell by gradient descent",
    "pattern": "A pattern with a mask",
    "soft-answers": "Copy from probabilities",
    "labels-only": "Copy from labels",
    "flattened-training": "Copy from flattened answers",
    "two-keys": "Copy from two keys",
    "as-stolen": "As it was stolen",
    "fine-tune-all": "Fine-tuning, all layers",
    "fine-tune-last": "Fine-tuning, last layer",
    "prune-and-tune": "Pruning, then fine-tuning",
    "quantise": "Quantising",
    "distil-probabilities": "Copy from probabilities",
    "distil-labels": "Copy from labels",
}
COMPARISONS = {"fine-tune-base", "from-scratch", "distillation"}


def title(name: str) -> str:
    """An attack's name as people read it."""
    return TITLES.get(name) or name.replace("-", " ").capitalize()


def sentence(name: str) -> str:
    """What the thief has and does, by the name of an attack or of a part of one."""
    return PARTS.get(name) or (ON_KEY_LOCKS | ON_PROMPT_LOCKS | ON_GUARDS | ON_TRIGGERS).get(
        name, ""
    )
