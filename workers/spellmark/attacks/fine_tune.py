"""Fine-tuning a stolen model on a few plain images, beside doing without it."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import partial

import numpy as np
import torch
from torch import nn

from spellmark.attacks.attack import AttackError, AttackResult, Attempt, Progress, Target
from spellmark.attacks.catalogue import BUDGETS
from spellmark.attacks.key_guess import KeyGuess
from spellmark.training.datasets import Split
from spellmark.training.fit import Recipe, fit
from spellmark.training.inference import predict_probabilities

LEAST_STEPS = 300
LARGEST_BATCH = 64


def fine_tune(
    target: Target,
    base: nn.Module | None,
    attacker: Split,
    test: Split,
    *,
    generator: np.random.Generator,
    grid: Sequence[int] = BUDGETS["full"].grid,
    steps: int = LEAST_STEPS,
    learning_rate: float = 1e-3,
    progress: Progress | None = None,
) -> list[AttackResult]:
    """Train on the first n plain labelled images for each n of the grid that the thief has.

    One result each for the locked model with all layers and with its head alone, for the same
    network from scratch, and for the public base model where there is one. The lock is worth
    something against a thief with n images if the first two are no better than the last two.
    Source: the fine-tuning attack of 2008.02450.
    """
    padded = KeyGuess.identity(target.geometry, target.parameters).transform()
    held_out = padded(test.images)
    seed = int(generator.integers(2**31))
    sizes = [n for n in grid if n <= len(attacker)] or [len(attacker)]
    makers: dict[str, Callable[[], nn.Module]] = {
        "fine-tune-locked": lambda: deepcopy(target.model),
        "fine-tune-head": lambda: HeadOnly(target.model),
        "from-scratch": lambda: _from_scratch(target.model, seed),
    }
    if base is not None:
        makers["fine-tune-base"] = partial(deepcopy, base)
    runs = [(size, name) for size in sizes for name in makers]
    results = []
    for number, (size, name) in enumerate(runs):
        part = attacker[:size]
        attempt = Attempt(name, target, part)
        recipe = recipe_for(size, steps=steps, learning_rate=learning_rate, seed=seed)

        def report(share: float, text: str, number: int = number, name: str = name) -> None:
            if progress:
                progress((number + share) / len(runs), f"{name}, {text}")

        model = makers[name]()
        fit(model, target.card, Split(padded(part.images), part.labels), recipe, progress=report)
        answers = predict_probabilities(model, target.card, held_out)
        done = recipe.epochs * -(-size // recipe.batch)
        results.append(attempt.direct(answers.argmax(1), test, done, epochs=recipe.epochs))
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


def _from_scratch(model: nn.Module, seed: int) -> nn.Module:
    """The same network with fresh weights, as its layers draw them."""
    fresh = deepcopy(model)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for part in fresh.modules():
            if callable(reset := getattr(part, "reset_parameters", None)):
                reset()
    return fresh.requires_grad_(True)
