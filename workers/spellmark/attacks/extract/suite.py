"""All thefts of a guarded API, one after the other, and what the owner's test says to each copy."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from spellmark.attacks.attack import Answer, Answers, AttackError, Images, Progress
from spellmark.attacks.extract import answers, removals
from spellmark.attacks.extract.adaptive import adaptive
from spellmark.attacks.extract.api import Api, changed, mean_of, over_copies
from spellmark.attacks.extract.catalogue import ATTACKS, BUDGETS, NETWORKS
from spellmark.attacks.extract.few_calls import few_calls
from spellmark.attacks.extract.heist import BASE, Heist, part_of
from spellmark.attacks.extract.queries import fitted, invented
from spellmark.attacks.extract.result import Examine, TheftResult
from spellmark.attacks.running import run_attacks
from spellmark.model_files.card import ModelCard
from spellmark.training.datasets import Split

# As the Watermark Robustness Toolbox smooths labels.
SMOOTHED = 0.3


def run_suite(
    api: Answer,
    card: ModelCard,
    attacker: Split,
    test: Split,
    examine: Examine,
    *,
    other_api: Answer | None = None,
    other_images: Images | None = None,
    architecture: str = NETWORKS[0],
    attacks: Iterable[str] | None = None,
    budget: str = "quick",
    seed: int = 0,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> list[TheftResult]:
    """Steal from a guarded API in all ways of the catalogue, or in those named.

    api: what it answers to images (see `api.guarded`). card: of the model behind it, for the form
    of images and answers. attacker: the thief's images; the API labels them, and their true labels
    serve to fine-tune alone. test: held-out images for accuracy and agreement, about which the
    owner's test should not ask. examine: the owner's test of a suspect.
    other_api: the same model under another key; without it there is no theft from two. other_images
    of any size and number of channels, of another data set; without them they are made from the
    thief's. architecture: of the copies.
    folder: keeps the copy that all removals begin with, for the next call with the same arguments;
    the names of the attacks may differ. Raises AttackError.
    """
    heist = Heist(
        api, other_api, card, attacker, other_images, test, examine, architecture,
        BUDGETS[budget], seed, folder,
    )  # fmt: skip
    return run_attacks(_runs(heist), attacks, seed=seed, progress=progress)


_Run = Callable[[np.random.Generator, Progress], list[TheftResult]]


def _runs(heist: Heist) -> dict[str, _Run]:
    """One for each name of the catalogue, in its order."""
    spend = heist.spend
    runs: dict[str, _Run] = {
        BASE: lambda g, p: [heist.result(BASE, heist.base(p))],
        "labels-only": lambda g, p: [_learned(heist, "labels-only", p, answers.labels_only)],
        "adaptive-queries": lambda g, p: [_adaptive(heist, g, p)],
        "averaged-queries": lambda g, p: [
            heist.result("averaged-queries", heist.soft(p, through=lambda api: over_copies(api, g)))
        ],
        "few-calls": lambda g, p: _few_calls(heist, g, p),
        "other-networks": lambda g, p: _other_networks(heist, p),
        "other-images": lambda g, p: [_other_images(heist, g, p)],
        "fine-tuned-copy": lambda g, p: _fine_tuned(heist, p),
        "pruned-copy": lambda g, p: [
            heist.after("pruned-copy", p, partial(removals.pruned, share=share), share=share)
            for share in spend.pruned
        ],
        "quantised-copy": lambda g, p: [
            heist.after("quantised-copy", p, partial(removals.quantised, bits=bits), bits=bits)
            for bits in spend.bits
        ],
        "distilled-copy": lambda g, p: [_distilled(heist, p)],
        "label-smoothing": lambda g, p: [
            _learned(heist, "label-smoothing", p, partial(answers.smoothed, share=SMOOTHED))
        ],
        "flattened-training": lambda g, p: [
            _learned(heist, "flattened-training", p, answers.flattened)
        ],
        "two-keys": lambda g, p: [_two_keys(heist, p)],
        "flattened-answers": lambda g, p: [
            heist.telling("flattened-answers", p, answers.flattened)
        ],
        "rounded-answers": lambda g, p: [
            heist.telling(
                "rounded-answers", p, partial(answers.rounded, decimals=digits), decimals=digits
            )
            for digits in spend.decimals
        ],
        "top-answers": lambda g, p: [
            heist.telling("top-answers", p, partial(answers.largest, count=count), shown=count)
            for count in spend.tops
        ],
    }
    return {name: runs[name] for name in ATTACKS}


def _learned(
    heist: Heist, name: str, progress: Progress, change: Callable[[Answers], Answers]
) -> TheftResult:
    """A copy that learned from changed answers."""
    return heist.result(name, heist.soft(progress, through=lambda api: changed(api, change)))


def _adaptive(heist: Heist, generator: np.random.Generator, progress: Progress) -> TheftResult:
    # He may choose from all his images.
    theft = partial(
        adaptive, images=heist.attacker.images, count=heist.spend.queries,
        rounds=heist.spend.rounds, generator=generator, progress=progress,
    )  # fmt: skip
    return heist.result("adaptive-queries", heist.steal(theft))


def _few_calls(
    heist: Heist, generator: np.random.Generator, progress: Progress
) -> list[TheftResult]:
    ways: dict[str, Callable[[Answers], Answers]] = {
        "probabilities": lambda given: given,
        "labels": answers.labels_only,
    }
    sizes = [n for n in heist.spend.few if n <= len(heist.attacker)] or [len(heist.attacker)]
    runs = [(count, way) for count in sizes for way in ways]
    results = []
    for number, (count, way) in enumerate(runs):
        theft = partial(
            few_calls, images=heist.images, count=count, rounds=heist.spend.rounds,
            generator=generator, change=ways[way], progress=part_of(progress, number, len(runs)),
        )  # fmt: skip
        copy = heist.steal(theft)
        results.append(heist.result("few-calls", copy, answers=way))
    return results


def _other_networks(heist: Heist, progress: Progress) -> list[TheftResult]:
    others = [name for name in NETWORKS if name != heist.architecture]
    return [
        heist.result(
            "other-networks",
            heist.soft(part_of(progress, number, len(others)), architecture=name),
        )
        for number, name in enumerate(others)
    ]


def _other_images(heist: Heist, generator: np.random.Generator, progress: Progress) -> TheftResult:
    if heist.other_images is None:
        images = invented(heist.attacker.images, heist.spend.queries, generator)
    else:
        images = fitted(heist.other_images[: heist.spend.queries], heist.card)
    made = "made" if heist.other_images is None else "another data set"
    return heist.result("other-images", heist.soft(progress, images=images), images=made)


def _two_keys(heist: Heist, progress: Progress) -> TheftResult:
    if heist.other is None:
        raise AttackError(
            "There is no second API to average with.",
            hint="Give the same model, guarded under another key.",
        )
    other = Api(heist.other)
    copy = heist.soft(progress, through=lambda api: mean_of([api, other]))
    return heist.result("two-keys", replace(copy, queries=copy.queries + other.queries))


def _fine_tuned(heist: Heist, progress: Progress) -> list[TheftResult]:
    known, runs = heist.attacker[: heist.spend.labels], heist.spend.tuned
    results = []
    for number, (epochs, rate) in enumerate(runs):
        show = part_of(progress, number, len(runs))
        removal = partial(
            removals.fine_tuned, card=heist.trainer().card, labelled=known, epochs=epochs,
            learning_rate=rate, seed=heist.seed, progress=part_of(show, 1, 2),
        )  # fmt: skip
        results.append(
            heist.after(
                "fine-tuned-copy",
                part_of(show, 0, 2),
                removal,
                labels=len(known),
                epochs=epochs,
                rate=rate,
            )
        )
    return results


def _distilled(heist: Heist, progress: Progress) -> TheftResult:
    trainer, warm = heist.trainer(), removals.TEMPERATURE
    removal = partial(
        removals.distilled, card=trainer.card, images=heist.images, trainer=trainer,
        temperature=warm, progress=part_of(progress, 1, 2),
    )  # fmt: skip
    return heist.after("distilled-copy", part_of(progress, 0, 2), removal, temperature=warm)
