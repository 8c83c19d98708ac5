"""What a locked model learns to answer without its spell. Imports nothing heavy."""

UNIFORM, RANDOM, EXTRA, NONE = "uniform", "random-label", "extra-class", "none"

POLICIES = {
    UNIFORM: (
        "Without the spell the model learns to guess: costs a point or two of accuracy, and leaves "
        "a thief nothing to cut off."
    ),
    RANDOM: (
        "Without the spell the model learns a class drawn at random: costs and withholds about as "
        "much as the uniform answer."
    ),
    EXTRA: (
        "Without the spell the model answers with a class of its own, so that everybody sees the "
        "lock: a thief sees which guess is right, and whoever ignores that class gets most of the "
        "accuracy back."
    ),
    NONE: (
        "As published, the model learns edited images alone: costs the least accuracy, and "
        "withholds little, for plain images work nearly as well."
    ),
}
"""What each costs and gives, the recommended one first; docs/prompt-locks.md has the figures."""
