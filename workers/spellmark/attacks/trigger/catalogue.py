"""The attacks on a trigger watermark: their names and how much is spent. No torch here."""

from dataclasses import dataclass

ATTACKS = {
    "as-stolen": "For comparison: the stolen model as it is.",
    "fine-tune-all": "All layers are trained further on the thief's labelled images, gently and at "
    "the rate at which a model is trained from scratch.",
    "fine-tune-last": "The last layer alone is trained further.",
    "prune-and-tune": "The smallest weights are set to zero, and what is left is trained further.",
    "quantise": "All weights are rounded to a few bits.",
    "distil-probabilities": "A fresh model learns the stolen one's probabilities. It never meets "
    "a trigger, so nothing is taken over.",
    "distil-labels": "A fresh model learns the stolen one's labels.",
}


@dataclass(frozen=True)
class Budget:
    """images: labelled ones that the thief has. epochs: of every training. rates: at which all
    layers are trained. shares: of the weights that are pruned. bits: that weights keep.
    """

    images: int
    epochs: int
    rates: tuple[float, ...]
    shares: tuple[float, ...]
    bits: tuple[int, ...]


BUDGETS = {
    "quick": Budget(2000, 5, (1e-3,), (0.6,), (4,)),
    "full": Budget(12_000, 10, (1e-3, 4e-3), (0.3, 0.6, 0.85), (8, 4, 3)),
}
