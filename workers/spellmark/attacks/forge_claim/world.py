"""Who is there: an accuser with models of his own, innocents that he never saw, and a null pool.

The innocents of all sides learn the same task, of other data, of the accuser's data, and of the
accuser's data with his architecture. All are really trained.
"""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from spellmark.attacks.attack import AttackError, Progress
from spellmark.attacks.forge_claim.catalogue import Sizes
from spellmark.attacks.forge_claim.court import Claim, Court, Hearing, Model, new_key
from spellmark.errors import SpellmarkError
from spellmark.evidence.verdicts import MATCH
from spellmark.model_files.card import ModelCard
from spellmark.training.architectures import fresh
from spellmark.training.datasets import Dataset, Split
from spellmark.training.fit import Recipe, fit
from spellmark.watermarks.trigger import TriggerParameters, recommended
from spellmark.watermarks.trigger.embed import embed

ACCUSER = "accuser"
# Images that he hands in as triggers, and those on which owners' models must do their task.
HANDED_IN = 64
MOST_TESTED = 1000
START_ANEW = "What is refused to him would show nothing. Take more images, or the full size."

OTHERS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("small-resnet", {"width": 8}),
    ("small-mlp", {"width": 128}),
    ("small-cnn", {"width": 12}),
    ("small-resnet", {"width": 12}),
)


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
    pool: Sequence[Model] = (),
    folder: Path | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> World:
    """Train everybody. data: twice `sizes.images` training images at least, and 128 test images.

    pool: innocent models that the registry has, the kinds of `null_pool.KINDS` in turn; without
    them it trains its own. folder: keeps each model's training, so that a call with the same
    arguments takes up from there; keys are drawn anew. Raises AttackError where there are too few
    images, or where the accuser's one true claim is not believed.
    """
    tested = min(MOST_TESTED, len(data.test) // 2)
    if len(data.train) < 2 * sizes.images or tested < HANDED_IN:
        raise AttackError(
            f"The data set “{data.name}” has {len(data.train):,} training images and "
            f"{len(data.test):,} test images.",
            hint=f"Everybody's models take {2 * sizes.images:,} and {2 * HANDED_IN}: choose a "
            "larger data set, or the quick size.",
        )
    own, other = data.train[: sizes.images], data.train[sizes.images : 2 * sizes.images]
    models = sizes.models - (sizes.pool if pool else 0)
    made: list[Model] = []

    def trained(card: ModelCard, part: Split) -> Model:
        number = len(made)

        def show(share: float, step: str) -> None:
            if progress:
                progress((number + share) / models, f"model {number + 1} of {models}, {step}")

        recipe = Recipe(epochs=sizes.epochs, seed=seed + number)
        kept = folder / f"model-{number}.pt" if folder else None
        net = fit(fresh(card, recipe.seed), card, part, recipe, checkpoint=kept, progress=show)
        made.append(Model(net, card))
        return made[-1]

    def several(count: int) -> Iterator[Model]:
        for number in range(count):
            kind, turn = number % 3, number // 3
            name, config = OTHERS[turn % len(OTHERS)]
            alike = kind == 2 or (kind == 0 and turn % 2 == 0)
            theirs = card if alike else replace(card, architecture=name, config=config)
            yield trained(theirs, own if kind else other)

    unmarked = trained(card, own)
    court = Court(data.test[:tested], list(pool))
    parameters = replace(
        recommended(card.classes, card.channels, card.height, card.width),
        triggers=sizes.triggers, queries=sizes.queries,
    )  # fmt: skip
    commitment = court.commit(ACCUSER, new_key(parameters))
    key = commitment.key(ACCUSER)
    recipe = Recipe(epochs=sizes.mark_epochs, seed=seed)
    marked = Model(embed(deepcopy(unmarked.net), card, own, key, recipe), card)
    claim = court.register(ACCUSER, commitment, key.tree.root, marked=marked, unmarked=unmarked)
    references, innocents = list(several(sizes.references)), list(several(sizes.innocents))
    court.pool = court.pool or list(several(sizes.pool))
    silent, loud = _heard(court, claim, innocents[0]), _heard(court, claim, marked)
    if loud.decision.verdict != MATCH:
        raise AttackError(
            f"The accuser's one true claim is no match: {loud.decision.reason}", hint=START_ANEW
        )
    return World(
        court, claim, silent, loud, references, innocents, own, data.test[tested:], sizes, seed
    )


def _heard(court: Court, claim: Claim, suspect: Model) -> Hearing:
    try:
        return court.hear(claim, suspect)
    except SpellmarkError as error:
        raise AttackError(
            f"The accuser has no true claim to begin with. {error.message}", hint=START_ANEW
        ) from error
