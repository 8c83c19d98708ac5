"""The kinds of forgeries, and how much the accuser spends. No torch here."""

from dataclasses import dataclass

from spellmark.evidence.null_pool import LEAST_MODELS

FORGERIES = {
    "hand-picked images": "Ordinary images with their ordinary labels are handed in as triggers.",
    "adversarial images": "Images on which the accuser’s models err alike (I-FGSM, several "
    "strengths, targeted and not) are handed in as triggers.",
    "seed grinding": "Thousands of secrets are committed to until one suits a suspect.",
    "backdating": "A registration is made to look older than the run, or than somebody’s model.",
    "free labels": "Derived images get the labels that the suspect gives them anyway.",
    "altered transcript": "The record of a run that found nothing is changed until it accuses.",
    "swapped suspect": "The accuser’s own copy answers; the verdict is turned on another model.",
    "constant model": "A suspect or an owner’s model answers everything alike, or nothing well.",
    "replayed triggers": "Opened triggers are published; whoever learns them is accused.",
}
"""What the accuser does, by the name of the kind."""


@dataclass(frozen=True)
class Sizes:
    """images: that each model learns from, epochs: how often. mark_epochs: of embedding.
    references: of the accuser's own; innocents: that are accused; pool: of the registry, as many as
    a match asks for.
    candidates: images that the accuser tries to make adversarial, in steps of the attack. secrets:
    that are ground. triggers, queries: of the accuser's one honest key. poisoned: innocents that
    learn published triggers.
    """

    images: int
    epochs: int
    mark_epochs: int
    references: int
    innocents: int
    pool: int
    candidates: int
    steps: int
    secrets: int
    triggers: int
    queries: int
    poisoned: int

    @property
    def models(self) -> int:
        """How many are trained, with the accuser's own."""
        return self.references + self.innocents + self.pool + 1


BUDGETS = {
    "quick": Sizes(1000, 2, 10, 3, 3, LEAST_MODELS, 96, 6, 300, 144, 32, 1),
    "full": Sizes(2000, 2, 10, 10, 6, LEAST_MODELS, 96, 8, 10_000, 192, 32, 2),
}
