"""How a thief trains a copy from answers."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from spellmark.attacks.attack import Answers, AttackError, Images, Progress
from spellmark.model_files.card import ModelCard
from spellmark.training.architectures import fresh
from spellmark.training.datasets import Split
from spellmark.training.fit import Batch, Recipe, fit
from spellmark.training.inference import BATCH, device, to_input

LARGEST_BATCH = 128


def copy_card(card: ModelCard, architecture: str) -> ModelCard:
    """The card of a copy: the thief knows what the API takes and gives, and picks a network."""
    return replace(
        card, architecture=architecture, config={}, label_names=(), binding="", description=""
    )


@dataclass(frozen=True)
class Trainer:
    """Trains fresh networks of the card: so many epochs, or as many as make `steps` steps."""

    card: ModelCard
    epochs: int
    steps: int
    seed: int

    def recipe(self, count: int) -> Recipe:
        """The recipe for so many images."""
        batch = min(LARGEST_BATCH, count)
        epochs = max(self.epochs, -(-self.steps // -(-count // batch)))
        return Recipe(epochs=epochs, batch=batch, seed=self.seed)

    def __call__(
        self,
        images: Images,
        targets: Answers,
        *,
        temperature: float = 1.0,
        progress: Progress | None = None,
    ) -> nn.Module:
        """A network trained by cross-entropy, -sum y log p, on targets (n, classes).

        temperature: of its softmax while it learns. Raises AttackError.
        """
        if not len(images):
            raise AttackError("The thief has no images.", hint="Give some to ask the API about.")
        wanted = torch.from_numpy(targets).float()

        def make_batch(
            chosen: Images, numbers: npt.NDArray[np.int64], generator: np.random.Generator
        ) -> Batch:
            return chosen, wanted[numbers]

        model = fresh(self.card, self.seed)
        learner = model if temperature == 1 else _Tempered(model, temperature)
        # Numbers of images in the place of labels, to find their targets by.
        data = Split(images, np.arange(len(images)))
        recipe = self.recipe(len(images))
        fit(learner, self.card, data, recipe, make_batch=make_batch, progress=progress)
        return model.eval()


class _Tempered(nn.Module):
    """A network with the logits of a warmer softmax."""

    def __init__(self, model: nn.Module, temperature: float) -> None:
        super().__init__()
        self.model, self.temperature = model, temperature

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits of a batch, divided by the temperature."""
        logits: torch.Tensor = self.model(images) / self.temperature
        return logits


@torch.inference_mode()
def features(model: nn.Module, card: ModelCard, images: Images) -> npt.NDArray[np.float64]:
    """What the last linear layer of a copy gets, float64 (n, features). Raises AttackError."""
    heads = [part for part in model.modules() if isinstance(part, nn.Linear)]
    if not heads:
        raise AttackError(
            "The copy has no linear layer whose inputs could be compared.",
            hint="Choose another architecture for the copy.",
        )
    seen: list[torch.Tensor] = []
    hook = heads[-1].register_forward_pre_hook(lambda _, given: seen.append(given[0].flatten(1)))
    try:
        model = model.to(device()).eval()
        for start in range(0, len(images), BATCH):
            model(to_input(images[start : start + BATCH], card))
    finally:
        hook.remove()
    return np.asarray(torch.cat(seen).double().cpu().numpy(), np.float64)
