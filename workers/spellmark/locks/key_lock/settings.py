"""How much is trained and measured where nobody says otherwise. The web process reads it too."""

from spellmark.locks.key_lock.parameters import KeyLockError

# The benchmarks make their locks with so many steps (benchmarks/key_lock_accuracy.py: 12 rounds of
# 60,000 images, or 120 of 6,000). What a lock is worth follows from the steps, not from the rounds.
STEPS = 5_600
BATCH = 128

# Fewer would leave the tail of the wrong keys to chance: it is what a guessing thief hopes for.
LEAST_WRONG_KEYS = 1000
USUAL_SEEDS = 3


def rounds_for(images: int, batch: int = BATCH) -> int:
    """How many rounds over so many images make about STEPS steps of a batch each; at least 1."""
    return max(1, round(STEPS / max(1, -(-images // batch))))


def check_wrong_keys(count: int) -> None:
    """Raises KeyLockError for fewer wrong keys than a report card may rest on."""
    if count < LEAST_WRONG_KEYS:
        raise KeyLockError(
            f"{count:,} wrong keys are too few to tell what a guessing thief reaches.",
            hint=f"Try {LEAST_WRONG_KEYS:,} or more.",
        )
