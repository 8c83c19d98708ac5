"""Who is there: an accuser with models of his own, innocents that he never saw, and a null pool.

The innocents of all sides learn the same task, of other data, of the accuser's data, and of the
accuser's data with his architecture. All are really trained.
"""

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

from spellmark.attacks.forge_claim.court import Claim, Court, Hearing, Model, new_key
from spellmark.model_files.card import ModelCard
from spellmark.training.architectures import fresh
from spellmark.training.datasets import Dataset, Split
from spellmark.training.fit import Recipe, fit
from spellmark.watermarks.trigger import TriggerParameters, recommended
from spellmark.watermarks.trigger.embed import embed

ACCUSER = "accuser"

OTHERS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("small-resnet", {"width": 8}),
    ("small-mlp", {"width": 128}),
    ("small-cnn", {"width": 12}),
    ("small-resnet", {"width": 12}),
)


@dataclass(frozen=True)
class Sizes:
    """images: that each model learns from, epochs: how often. mark_epochs: of embedding.
    references: of the accuser's own; innocents: that are accused; pool: of the registry.
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


FULL = Sizes(2000, 2, 10, 10, 6, 6, 96, 8, 10_000, 192, 32, 2)
QUICK = Sizes(1000, 2, 10, 3, 3, 3, 96, 6, 300, 144, 32, 1)


@dataclass(frozen=True)
class World:
    """The accuser's side, the innocents, and the registry with its pool.

    claim: the accuser's one honest watermark, from which forgeries start. silent: an honest run of
    it against the first innocent, which found nothing; loud: one against his own copy. own: his
    labelled images, which no innocent of other data has seen; test: nobody's.
    """

    court: Court
    claim: Claim
    silent: Hearing
    loud: Hearing
    references: list[Model]
    innocents: list[Model]
    own: Split
    test: Split
    sizes: Sizes
    seed: int

    @property
    def parameters(self) -> TriggerParameters:
        """Of the accuser's keys."""
        return self.claim.key.parameters


def make_world(
    card: ModelCard,
    data: Dataset,
    sizes: Sizes,
    *,
    seed: int = 0,
    progress: Callable[[float, str], None] | None = None,
) -> World:
    """Train everybody. data: twice `sizes.images` training images at least."""
    own, other = data.train[: sizes.images], data.train[sizes.images : 2 * sizes.images]
    models = sizes.references + sizes.innocents + sizes.pool + 1
    made: list[Model] = []

    def trained(card: ModelCard, part: Split) -> Model:
        if progress:
            progress(len(made) / models, f"model {len(made) + 1} of {models}")
        recipe = Recipe(epochs=sizes.epochs, seed=seed + len(made))
        made.append(Model(fit(fresh(card, recipe.seed), card, part, recipe), card))
        return made[-1]

    def several(count: int) -> Iterator[Model]:
        for number in range(count):
            kind, turn = number % 3, number // 3
            name, config = OTHERS[turn % len(OTHERS)]
            alike = kind == 2 or (kind == 0 and turn % 2 == 0)
            theirs = card if alike else replace(card, architecture=name, config=config)
            yield trained(theirs, own if kind else other)

    unmarked = trained(card, own)
    court = Court(data.test[:1000])
    parameters = replace(
        recommended(card.classes, card.channels, card.height, card.width),
        triggers=sizes.triggers, queries=sizes.queries,
    )  # fmt: skip
    commitment = court.commit(ACCUSER, new_key(parameters))
    key = commitment.key(ACCUSER)
    recipe = Recipe(epochs=sizes.mark_epochs, seed=seed)
    marked = Model(embed(deepcopy(unmarked.net), card, own, key, recipe), card)
    claim = court.register(ACCUSER, commitment, key.tree.root, marked=marked, unmarked=unmarked)
    references, innocents, court.pool = (
        list(several(count)) for count in (sizes.references, sizes.innocents, sizes.pool)
    )
    silent, loud = court.hear(claim, innocents[0]), court.hear(claim, marked)
    return World(
        court, claim, silent, loud, references, innocents, own, data.test[1000:], sizes, seed
    )
