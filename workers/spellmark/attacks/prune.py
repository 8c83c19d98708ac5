"""Pruning a stolen model, and training what is left of it."""

from copy import deepcopy

import torch
from torch import nn
from torch.func import functional_call

from spellmark.attacks.attack import AttackError, Progress
from spellmark.attacks.extract.removals import pruned
from spellmark.attacks.fine_tune import LARGEST_BATCH
from spellmark.model_files.card import ModelCard
from spellmark.training.datasets import Split
from spellmark.training.fit import Recipe, fit


class Masked(nn.Module):
    """A model whose weights that are zero stay zero, however it is trained."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self._masks = {
            name: (weight.detach() != 0).float()
            for name, weight in model.named_parameters()
            if weight.ndim > 1
        }

    def weights(self) -> dict[str, torch.Tensor]:
        """The model's parameters by name, the masked ones with their zeros."""
        return {
            name: weight * self._masks[name].to(weight.device) if name in self._masks else weight
            for name, weight in self.model.named_parameters()
        }

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits of a batch."""
        logits: torch.Tensor = functional_call(self.model, self.weights(), (images,))
        return logits


def prune_and_tune(
    model: nn.Module,
    card: ModelCard,
    labelled: Split,
    *,
    share: float,
    epochs: int,
    learning_rate: float = 1e-3,
    seed: int,
    progress: Progress | None = None,
) -> nn.Module:
    """The smallest weights of all layers together set to zero, the others trained on true labels.

    share: of the weights, in [0, 1). The copy comes back with its zeros; the model stays as it is.
    Source: fine-pruning (1805.12185), by the weights' size in the place of activations. Raises
    AttackError.
    """
    if not len(labelled):
        raise AttackError(
            "The thief has no labelled images.", hint="Give at least one image with its label."
        )
    masked = Masked(pruned(model, share))
    batch = min(LARGEST_BATCH, len(labelled))
    recipe = Recipe(epochs=epochs, batch=batch, learning_rate=learning_rate, seed=seed)
    fit(masked, card, labelled, recipe, progress=progress)
    left = deepcopy(masked.model)
    with torch.no_grad():
        kept = masked.weights()
        for name, weight in left.named_parameters():
            weight.copy_(kept[name])
    return left.eval()
