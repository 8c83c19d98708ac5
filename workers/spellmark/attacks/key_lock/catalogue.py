"""The attacks on key locks in plain English, for pages and reports. Imports nothing heavy."""

from dataclasses import dataclass

ATTACKS = {
    "random-keys": (
        "With some labelled images, the thief tries random keys and keeps the one under which the "
        "model answers best."
    ),
    "swaps-accuracy": (
        "With some labelled images, the thief changes a random key step by step and keeps each "
        "change that costs no right answer; this is the published attack."
    ),
    "swaps-cross-entropy": (
        "With some labelled images, the thief changes a random key step by step and keeps each "
        "change that makes the model surer of the right answers; where none helps he starts anew."
    ),
    "batch-norm": (
        "With images but no labels, the thief looks for the key under which the model's layers "
        "see the statistics that they were trained on."
    ),
    "relaxed-key": (
        "With some labelled images, the thief finds a key by gradient descent through the model, "
        "its permutations relaxed and made hard at the end."
    ),
    "relaxed-key-swaps": (
        "With some labelled images, the thief finds a key by gradient descent through the model "
        "and improves it by further swaps."
    ),
    "bypass-block": (
        "With some labelled images, the thief trains a small linear map of each block that takes "
        "the place of the key."
    ),
    "bypass-pixel": (
        "With some labelled images, the thief trains a scale and a bias for every pixel that take "
        "the place of the key."
    ),
    "fine-tune": (
        "With plain labelled images, the thief trains the locked model further, whole or its last "
        "layer alone; beside it stands what he reaches without the locked model."
    ),
    "known-plaintext": (
        "With a few images both plain and transformed, the thief reads the key off them."
    ),
    "ciphertext-only": (
        "With transformed images that nobody explained to him, the thief estimates the key from "
        "how their pixels correlate."
    ),
}
"""What the thief has and does, by the attack's name."""


@dataclass(frozen=True)
class Budget:
    """What the thief spends.

    random: keys tried at random. guesses: of a search. steps: of gradient descent, from so many
    starts. labels: his labelled images. pairs: images seen plain and transformed. grid: how many
    labelled images he fine-tunes on.
    """

    random: int
    guesses: int
    steps: int
    starts: int
    labels: int
    pairs: int
    grid: tuple[int, ...]


BUDGETS = {
    "quick": Budget(500, 500, 200, 1, 200, 20, (50,)),
    "full": Budget(20_000, 10_000, 1_000, 3, 200, 20, (50, 200, 1_000)),
}
