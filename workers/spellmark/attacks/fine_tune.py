"""Fine-tuning a stolen model on a few plain images, beside doing without it."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import cast

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from spellmark.attacks.attack import AttackError, AttackResult, Attempt, Progress, Target
from spellmark.training.architectures import fresh
from spellmark.training.datasets import Split
from spellmark.training.fit import Recipe, fit
from spellmark.training.inference import predict_probabilities

LEAST_STEPS = 300
LARGEST_BATCH = 64
USUAL_WAYS = ("fine-tune-locked", "fine-tune-head", "from-scratch", "fine-tune-base")


def fine_tune(
    target: Target,
    base: nn.Module | None,
    attacker: Split,
    test: Split,
    *,
    generator: np.random.Generator,
    grid: Sequence[int],
    ways: Sequence[str] = USUAL_WAYS,
    steps: int = LEAST_STEPS,
    learning_rate: float = 1e-3,
    progress: Progress | None = None,
) -> list[AttackResult]:
    """Train on the first n plain labelled images for each n of the grid that the thief has.

    One result for each of the `ways`; without a public base model, none for that, and none for a
    way that the model's layers do not allow. Raises AttackError where they allow none. The lock is
    worth something against a thief with n images if the ways from the locked model are no better
    than those without it. Source: the fine-tuning attack of 2008.02450.
    """
    held_out = target.prepared(test.images)
    seed = int(generator.integers(2**31))
    sizes = [n for n in grid if n <= len(attacker)] or [len(attacker)]
    runs = [
        (size, way) for size in sizes for way in ways if base is not None or way != "fine-tune-base"
    ]
    results: list[AttackResult] = []
    unfit: AttackError | None = None
    for number, (size, way) in enumerate(runs):
        part = attacker[:size]
        attempt = Attempt(way, target, part)
        recipe = recipe_for(size, steps=steps, learning_rate=learning_rate, seed=seed)

        def report(share: float, text: str, number: int = number, way: str = way) -> None:
            if progress:
                progress((number + share) / len(runs), f"{way}, {text}")

        try:
            model = WAYS[way](target, base, seed)
        except AttackError as error:
            unfit = error
            continue
        seen = Split(target.prepared(part.images), part.labels)
        fit(model, target.card, seen, recipe, progress=report)
        answers = predict_probabilities(model, target.card, held_out)
        done = recipe.epochs * -(-size // recipe.batch)
        results.append(attempt.direct(answers.argmax(1), test, done, epochs=recipe.epochs))
    if unfit is not None and not results:
        raise unfit
    return results


def recipe_for(size: int, *, steps: int, learning_rate: float, seed: int) -> Recipe:
    """A recipe of at least `steps` steps on so many images."""
    batch = min(LARGEST_BATCH, size)
    epochs = -(-steps // -(-size // batch))
    return Recipe(epochs=epochs, batch=batch, learning_rate=learning_rate, seed=seed)


class HeadOnly(nn.Module):
    """A copy of a model of which the last linear layer alone learns."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = deepcopy(model).requires_grad_(False)
        heads = [part for part in self.model.modules() if isinstance(part, nn.Linear)]
        if not heads:
            raise AttackError(
                "The model has no linear layer that could be its head.",
                hint="Leave out the attacks by fine-tuning.",
            )
        heads[-1].requires_grad_(True)

    def train(self, mode: bool = True) -> "HeadOnly":
        """Stay in evaluation mode: the running statistics of a frozen body do not move."""
        super().train(mode)
        self.model.eval()
        return self

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits of a batch."""
        logits: torch.Tensor = self.model(images)
        return logits


class NormsOnly(nn.Module):
    """A copy of a model of which the batch normalisations alone learn, and see new statistics."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = deepcopy(model).requires_grad_(False)
        norms = [part for part in self.model.modules() if isinstance(part, _BatchNorm)]
        if not norms:
            raise AttackError(
                "The model has no batch normalisation that could learn alone.",
                hint="Leave out this way of fine-tuning.",
            )
        for norm in norms:
            norm.requires_grad_(True)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits of a batch."""
        logits: torch.Tensor = self.model(images)
        return logits


WAYS: dict[str, Callable[[Target, nn.Module | None, int], nn.Module]] = {
    "fine-tune-locked": lambda target, base, seed: deepcopy(target.model),
    "fine-tune-head": lambda target, base, seed: HeadOnly(target.model),
    "fine-tune-norms": lambda target, base, seed: NormsOnly(target.model),
    # Fresh weights, of which none is left as the lock trained it.
    "from-scratch": lambda target, base, seed: fresh(target.card, seed),
    "fine-tune-base": lambda target, base, seed: deepcopy(cast(nn.Module, base)),
}
"""The model that the thief trains, by the way's name: from what he stole, the base and a seed."""
