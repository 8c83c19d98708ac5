"""One thief and what he has: copies that he steals, and the owner's measures of them."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from spellmark.attacks.attack import Answer, Answers, Images, Progress
from spellmark.attacks.extract.api import Api, changed
from spellmark.attacks.extract.catalogue import Budget
from spellmark.attacks.extract.result import Examine, TheftResult
from spellmark.attacks.extract.training import Trainer, copy_card
from spellmark.model_files.card import ModelCard
from spellmark.training import weights
from spellmark.training.datasets import Split
from spellmark.training.inference import predict_probabilities

BASE = "soft-answers"
"""The theft whose copy all removals begin with."""


@dataclass(frozen=True)
class Copy:
    """A stolen network, and what it cost the thief."""

    model: nn.Module
    card: ModelCard
    queries: int
    seconds: float

    def __call__(self, images: Images) -> Answers:
        return predict_probabilities(self.model, self.card, images)


class Heist:
    """What the thief has, and the owner's measures."""

    def __init__(
        self,
        answer: Answer,
        other: Answer | None,
        card: ModelCard,
        attacker: Split,
        other_images: Images | None,
        test: Split,
        examine: Examine,
        architecture: str,
        spend: Budget,
        seed: int,
        folder: Path | None,
    ) -> None:
        self.answer, self.other, self.card, self.attacker = answer, other, card, attacker
        self.other_images, self.test, self.examine = other_images, test, examine
        self.architecture, self.spend, self.seed, self.folder = architecture, spend, seed, folder
        self._base: Copy | None = None

    @property
    def images(self) -> Images:
        """What the thief asks about, where he does not choose."""
        return self.attacker.images[: self.spend.queries]

    def trainer(self, architecture: str | None = None) -> Trainer:
        """Of copies of this architecture, or of the usual one."""
        card = copy_card(self.card, architecture or self.architecture)
        return Trainer(card, self.spend.epochs, self.spend.steps, self.seed)

    def steal(
        self,
        method: Callable[[Api, Trainer], nn.Module],
        *,
        architecture: str | None = None,
    ) -> Copy:
        """Run a theft on the API, and count what it costs."""
        started, api, trainer = time.process_time(), Api(self.answer), self.trainer(architecture)
        model = method(api, trainer)
        return Copy(model, trainer.card, api.queries, time.process_time() - started)

    def soft(
        self,
        progress: Progress,
        *,
        through: Callable[[Answer], Answer] = lambda api: api,
        images: Images | None = None,
        architecture: str | None = None,
    ) -> Copy:
        """A copy trained on the API's answers to all images at once, as they come `through`.

        Cross-entropy on the API's probabilities about images in no special order, as by the random
        adversary of Knockoff nets (1812.02766).
        """
        asked = self.images if images is None else images
        return self.steal(
            lambda api, trainer: trainer(asked, through(api)(asked), progress=progress),
            architecture=architecture,
        )

    def base(self, progress: Progress) -> Copy:
        """The plain copy, from which removals begin. It is stolen once."""
        if self._base is None:
            self._base = self._kept() or self._keep(self.soft(progress))
        return self._base

    def result(
        self, name: str, copy: Copy, suspect: Answer | None = None, **details: Any
    ) -> TheftResult:
        """Measure a copy, or what its thief lets it say, and have the owner test it."""
        suspect = copy if suspect is None else suspect
        classes = suspect(self.test.images).argmax(1)
        decision = self.examine(suspect)
        told: dict[str, Any] = {"reason": decision.reason}
        if decision.client:
            told["client"] = decision.client
        return TheftResult(
            name,
            copy.card.architecture,
            copy.queries,
            float((classes == self.test.labels).mean()),
            float((classes == self.answer(self.test.images).argmax(1)).mean()),
            copy.seconds,
            decision.verdict,
            decision.p_value,
            decision.queries,
            str(decision.access),
            told | details,
        )

    def after(
        self,
        name: str,
        progress: Progress,
        removal: Callable[[nn.Module], nn.Module],
        **details: Any,
    ) -> TheftResult:
        """What is left of the plain copy after a removal; the costs of both are added."""
        base = self.base(progress)
        started = time.process_time()
        model = removal(base.model)
        spent = base.seconds + time.process_time() - started
        return self.result(name, replace(base, model=model, seconds=spent), **details)

    def telling(
        self,
        name: str,
        progress: Progress,
        change: Callable[[Answers], Answers],
        **details: Any,
    ) -> TheftResult:
        """The plain copy, which tells its answers changed."""
        copy = self.base(progress)
        return self.result(name, copy, changed(copy, change), **details)

    def _kept(self) -> Copy | None:
        if self.folder is None or not (self.folder / f"{BASE}-copy.json").exists():
            return None
        model, card = weights.load(self.folder / f"{BASE}-copy.safetensors")
        cost = json.loads((self.folder / f"{BASE}-copy.json").read_text())
        return Copy(model, card, cost["queries"], cost["seconds"])

    def _keep(self, copy: Copy) -> Copy:
        if self.folder is not None:
            weights.save(copy.model, copy.card, self.folder / f"{BASE}-copy.safetensors")
            # After the weights, so that it says that they are whole.
            cost = {"queries": copy.queries, "seconds": copy.seconds}
            (self.folder / f"{BASE}-copy.json").write_text(json.dumps(cost))
        return copy


def part_of(progress: Progress, number: int, count: int) -> Progress:
    """The progress of one of `count` parts."""
    return lambda share, text: progress((number + share) / count, text)
