"""All attacks on a trigger watermark, one after the other, and what the owner's test says."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from torch import nn

from spellmark.attacks.attack import Answers, Images, Labels, Progress
from spellmark.attacks.extract import answers
from spellmark.attacks.extract.removals import fine_tuned, quantised
from spellmark.attacks.extract.training import Trainer
from spellmark.attacks.fine_tune import LARGEST_BATCH, HeadOnly
from spellmark.attacks.prune import prune_and_tune
from spellmark.attacks.running import run_attacks
from spellmark.attacks.trigger.catalogue import ATTACKS, BUDGETS, Budget
from spellmark.evidence.trigger_rule import TriggerDecision
from spellmark.model_files.card import ModelCard
from spellmark.training.datasets import Split
from spellmark.training.fit import Recipe, fit
from spellmark.training.inference import accuracy, predict_labels, predict_probabilities

# What the owner's test says of a suspect that answers images with labels.
Examine = Callable[[Callable[[Images], Labels]], TriggerDecision]


@dataclass(frozen=True)
class RemovalResult:
    """What is left of the model and of its mark, ready for JSON.

    accuracy: on held-out images, in [0, 1]. seconds: of processor time, all threads together.
    verdict, p_value, hits, questions: of the owner's test, which opened so many triggers.
    """

    name: str
    accuracy: float
    seconds: float
    verdict: str
    p_value: float
    hits: int
    questions: int
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Thief:
    model: nn.Module
    card: ModelCard
    attacker: Split
    test: Split
    examine: Examine
    spend: Budget
    seed: int

    def result(self, name: str, copy: nn.Module, seconds: float, **details: Any) -> RemovalResult:
        found = self.examine(lambda images: predict_labels(copy, self.card, images))
        return RemovalResult(
            name,
            accuracy(copy, self.card, self.test.images, self.test.labels),
            seconds,
            found.verdict,
            found.p_value,
            found.outcome.statistic,
            found.queries,
            details,
        )

    def each(
        self,
        name: str,
        change: Callable[..., nn.Module],
        choices: dict[str, tuple[Any, ...]],
        progress: Progress,
    ) -> list[RemovalResult]:
        """One result for each value of the one choice there is."""
        ((choice, values),) = choices.items()
        results = []
        for number, value in enumerate(values):

            def show(share: float, text: str, number: int = number) -> None:
                progress((number + share) / len(values), text)

            with _timed() as seconds:
                copy = change(**{choice: value}, progress=show)
            results.append(self.result(name, copy, seconds(), **{choice: value}))
        return results


def run_suite(
    model: nn.Module,
    card: ModelCard,
    attacker: Split,
    test: Split,
    examine: Examine,
    *,
    attacks: Iterable[str] | None = None,
    budget: str = "quick",
    seed: int = 0,
    progress: Progress | None = None,
) -> list[RemovalResult]:
    """Attack a marked model in all ways of the catalogue, or in those named. Raises AttackError.

    attacker: the thief's labelled images. test: held-out ones. examine: the owner's test.
    """
    spend = BUDGETS[budget]
    thief = _Thief(model, card, attacker[: spend.images], test, examine, spend, seed)
    return run_attacks(_runs(thief), attacks, seed=seed, progress=progress)


_Run = Callable[[np.random.Generator, Progress], list[RemovalResult]]


def _runs(thief: _Thief) -> dict[str, _Run]:
    spend = thief.spend
    known: dict[str, Any] = {
        "card": thief.card, "labelled": thief.attacker, "epochs": spend.epochs, "seed": thief.seed,
    }  # fmt: skip
    tuned = partial(fine_tuned, thief.model, **known)
    cut = partial(prune_and_tune, thief.model, **known)
    runs: dict[str, _Run] = {
        "as-stolen": lambda g, p: [thief.result("as-stolen", thief.model, 0.0)],
        "fine-tune-all": lambda g, p: thief.each(
            "fine-tune-all", tuned, {"learning_rate": spend.rates}, p
        ),
        "fine-tune-last": lambda g, p: [_last(thief, p)],
        "prune-and-tune": lambda g, p: thief.each(
            "prune-and-tune", cut, {"share": spend.shares}, p
        ),
        "quantise": lambda g, p: thief.each(
            "quantise",
            lambda bits, progress: quantised(thief.model, bits),
            {"bits": spend.bits},
            p,
        ),
        "distil-probabilities": lambda g, p: [
            _distilled(thief, "distil-probabilities", lambda given: given, p)
        ],
        "distil-labels": lambda g, p: [_distilled(thief, "distil-labels", answers.labels_only, p)],
    }
    return {name: runs[name] for name in ATTACKS}


def _last(thief: _Thief, progress: Progress) -> RemovalResult:
    batch = min(LARGEST_BATCH, len(thief.attacker))
    recipe = Recipe(epochs=thief.spend.epochs, batch=batch, learning_rate=1e-3, seed=thief.seed)
    head = HeadOnly(deepcopy(thief.model))
    with _timed() as seconds:
        fit(head, thief.card, thief.attacker, recipe, progress=progress)
    return thief.result("fine-tune-last", head.model, seconds())


def _distilled(
    thief: _Thief,
    name: str,
    change: Callable[[Answers], Answers],
    progress: Progress,
) -> RemovalResult:
    trainer = Trainer(thief.card, thief.spend.epochs, 300, thief.seed)
    with _timed() as seconds:
        given = predict_probabilities(thief.model, thief.card, thief.attacker.images)
        copy = trainer(thief.attacker.images, change(given), progress=progress)
    return thief.result(name, copy, seconds())


@contextmanager
def _timed() -> Iterator[Callable[[], float]]:
    started = time.process_time()
    yield lambda: time.process_time() - started
