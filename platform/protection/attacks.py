"""What attacks on a key lock are called on pages, beside the library's catalogue of them."""

from spellmark.attacks.catalogue import ATTACKS

BUDGET_WORDS = {
    "quick": "Quick: minutes, against a weaker thief than there will be.",
    "full": "Full: the published budgets and more. Hours.",
}

# One attack has several results: what the thief gains by the locked model shows beside what the
# same images give without it.
PARTS = {
    "fine-tune-locked": "The locked model, trained further.",
    "fine-tune-head": "The locked model, of which the last layer alone is trained.",
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
    "fine-tune-base": "Fine-tuning without the lock",
    "from-scratch": "Training from scratch",
    "ciphertext-only": "Locked images only",
}
COMPARISONS = {"fine-tune-base", "from-scratch"}


def title(name: str) -> str:
    """An attack's name as people read it."""
    return TITLES.get(name) or name.replace("-", " ").capitalize()


def sentence(name: str) -> str:
    """What the thief has and does, by the name of an attack or of a part of one."""
    return PARTS.get(name) or ATTACKS.get(name, "")
