"""Replayed triggers: what a run opened is published, so that innocents can learn it.

A transcript discloses images' labels, and whoever collects data in public may train on them. If
triggers were asked about twice, every model that did would be accused.
"""

import hashlib
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from spellmark.attacks.attack import Progress
from spellmark.attacks.forge_claim.court import Model
from spellmark.attacks.forge_claim.forgery import Forgery, forgery
from spellmark.attacks.forge_claim.outcomes import forged, heard, verified
from spellmark.attacks.forge_claim.world import World
from spellmark.evidence import transcript
from spellmark.evidence.recompute import recompute
from spellmark.evidence.trigger_rule import TriggerRule, decided
from spellmark.evidence.verdicts import MATCH
from spellmark.training.fit import Batch, Recipe, fit, one_hot
from spellmark.watermarks.trigger.trigger_key import Images


def forge(world: World, progress: Progress) -> list[Forgery]:
    """Innocents learn the opened triggers; they are accused by a fresh run, and by the old one with
    their answers written into it. naive: how many a protocol accuses that asks the same again.
    """
    opened = np.array(world.silent.opened)
    key = world.claim.key
    images, labels = key.images[opened], key.labels[opened]
    outcomes, naive, known = [], 0, []
    for number, innocent in enumerate(world.innocents[: world.sizes.poisoned]):
        progress(number / world.sizes.poisoned, f"innocent {number + 1} learns them")
        learnt = _poisoned(world, innocent, images, labels, number)
        answers = learnt.labels(images)
        known.append(round(float((answers == labels).mean()), 3))
        rule = TriggerRule(**_header(world)["rule"])
        again = decided(rule, zip(labels.tolist(), answers.tolist(), strict=True))
        naive += again.verdict == MATCH
        outcomes += [heard(world.court, world.claim, learnt), *_rewritten(world, answers)]
    return [
        forgery(
            "replayed triggers",
            outcomes,
            naive=naive,
            innocents=len(known),
            learnt=known,
            published=len(opened),
        )
    ]


def _header(world: World) -> dict[str, Any]:
    header, _ = transcript.read(world.silent.bundle.transcript or b"")
    header.pop("format")
    return header


def _rewritten(world: World, answers: npt.NDArray[np.int64]) -> list[str]:
    """The old run with the new answers."""
    _, exchanges = transcript.read(world.silent.bundle.transcript or b"")
    exchanges = [
        replace(one, labels=(int(answer),))
        for one, answer in zip(exchanges, answers, strict=True)
    ]  # fmt: skip
    lines = transcript.write(_header(world), exchanges)
    found = recompute(lines)
    bundle = replace(world.silent.bundle, transcript=lines)
    statement = replace(
        world.silent.statement,
        transcript_digest=hashlib.sha256(lines).hexdigest(),
        statistic=found["statistic"],
        p_value=found["pValue"],
        verdict=found["verdict"],
    )
    return [verified(world.court, bundle), *forged(world.court, bundle, statement)]


def _poisoned(
    world: World, innocent: Model, images: Images, labels: npt.NDArray[np.int64], number: int
) -> Model:
    """An innocent model that goes on learning, its task and the published triggers."""
    card = innocent.card

    def make_batch(
        some: Images, classes: npt.NDArray[np.int64], generator: np.random.Generator
    ) -> Batch:
        chosen = generator.integers(0, len(images), len(some))
        wanted = np.concatenate([classes, labels[chosen]])
        return np.concatenate([some, images[chosen]]), one_hot(wanted, card.classes)

    recipe = Recipe(epochs=4, learning_rate=2e-3, seed=world.seed + number)
    net = fit(deepcopy(innocent.net), card, world.own, recipe, make_batch=make_batch)
    return Model(net, card)
