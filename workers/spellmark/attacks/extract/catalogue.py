"""The thefts of a guarded API in plain English, for pages and reports. Imports nothing heavy."""

from dataclasses import dataclass

THEFTS = {
    "soft-answers": (
        "The thief asks the API about images of his own and trains a copy on the probabilities."
    ),
    "labels-only": (
        "The thief uses the labels alone. Unless the guard changes labels, they carry no mark: no "
        "test can tell such a copy."
    ),
    "adaptive-queries": (
        "The thief asks in rounds, each about images of which the copy so far is least sure."
    ),
    "averaged-queries": (
        "The thief asks about three shifted copies of each image and trains on the mean answer."
    ),
    "few-calls": (
        "The thief asks few questions, near the middle of each class, and lets the copy label all "
        "other images by their nearest neighbours; once with probabilities, once with labels."
    ),
    "other-networks": "The thief trains networks of other kinds on the probabilities.",
    "other-images": (
        "The thief has no images like the owner's, and asks about another data set, or about "
        "collages, blends and noise."
    ),
}
"""How the thief gets a copy, by the theft's name."""

REMOVALS = {
    "fine-tuned-copy": "The thief trains his copy further on a few images with true labels.",
    "pruned-copy": "The thief sets the smallest weights of his copy to zero.",
    "quantised-copy": "The thief keeps the weights of his copy in few bits.",
    "distilled-copy": "The thief trains a fresh network on the answers of his copy.",
    "label-smoothing": "The thief spreads a part of each answer over all classes, then trains.",
    "flattened-training": (
        "The thief keeps the probability of the best class, spreads the rest evenly, then trains."
    ),
    "two-keys": (
        "The thief asks two APIs that are guarded under different keys, and trains on the mean."
    ),
    "flattened-answers": (
        "The copy tells the probability of the best class and spreads the rest evenly."
    ),
    "rounded-answers": "The copy rounds its answers to few decimals.",
    "top-answers": "The copy tells the most likely classes only.",
}
"""What the thief does to lose the mark, by the removal's name."""

ATTACKS = THEFTS | REMOVALS

NETWORKS = ("small-resnet", "small-cnn", "small-mlp")
"""The networks of which a thief's copies are; the first one unless it is said otherwise."""


@dataclass(frozen=True)
class Budget:
    """What the thief spends.

    queries: images asked about, at most as many as he has. epochs: of training, and at least so
    many steps. rounds: of the thefts that ask in rounds. few: queries of thefts by few calls.
    labels: images of which he knows the true labels. tuned: epochs and learning rates of further
    training on them. pruned: shares of the weights. bits: of a weight. decimals, tops: what a copy
    still tells of its answers.
    """

    queries: int
    epochs: int
    steps: int
    rounds: int
    few: tuple[int, ...]
    labels: int
    tuned: tuple[tuple[int, float], ...]
    pruned: tuple[float, ...]
    bits: tuple[int, ...]
    decimals: tuple[int, ...]
    tops: tuple[int, ...]


BUDGETS = {
    "quick": Budget(
        queries=8_000, epochs=6, steps=300, rounds=4, few=(500,), labels=150,
        tuned=((5, 1e-4), (5, 1e-3)), pruned=(0.5,), bits=(5,), decimals=(2, 1), tops=(3,),
    ),
    "full": Budget(
        queries=60_000, epochs=12, steps=2_000, rounds=8, few=(100, 1_000, 10_000), labels=1_000,
        tuned=((5, 1e-4), (20, 1e-4), (5, 1e-3), (20, 1e-3)), pruned=(0.3, 0.5, 0.7, 0.9),
        bits=(8, 5, 4, 3), decimals=(3, 2, 1), tops=(5, 3, 2),
    ),
}  # fmt: skip
