"""What a thief does to the weights of a copy to lose a mark: new networks, the copy stays."""

from copy import deepcopy

import torch
from torch import nn

from spellmark.attacks.attack import AttackError, Images, Progress
from spellmark.attacks.extract.answers import tempered
from spellmark.attacks.extract.training import Trainer
from spellmark.attacks.fine_tune import LARGEST_BATCH
from spellmark.model_files.card import ModelCard
from spellmark.training.datasets import Split
from spellmark.training.fit import Recipe, fit
from spellmark.training.inference import predict_probabilities

FEWEST_BITS = 2
# As the Watermark Robustness Toolbox distils.
TEMPERATURE = 3.0


def fine_tuned(
    model: nn.Module,
    card: ModelCard,
    labelled: Split,
    *,
    epochs: int,
    learning_rate: float = 1e-3,
    seed: int,
    progress: Progress | None = None,
) -> nn.Module:
    """All layers trained further on true labels. Raises AttackError.

    Few epochs are the FTAL of the Watermark Robustness Toolbox. Many, or large steps, lose more of
    the mark, and with few images of the accuracy too.
    """
    if not len(labelled):
        raise AttackError(
            "The thief has no labelled images.", hint="Give at least one image with its label."
        )
    batch = min(LARGEST_BATCH, len(labelled))
    recipe = Recipe(epochs=epochs, batch=batch, learning_rate=learning_rate, seed=seed)
    return fit(deepcopy(model), card, labelled, recipe, progress=progress)


def pruned(model: nn.Module, share: float) -> nn.Module:
    """The smallest weights of all layers together set to zero, `share` of them in [0, 1]."""
    changed = deepcopy(model)
    weights = _weights(changed)
    sizes = torch.cat([part.detach().abs().flatten() for part in weights])
    zeroed = torch.zeros(len(sizes), dtype=torch.bool, device=sizes.device)
    zeroed[sizes.argsort()[: round(share * len(sizes))]] = True
    parts = torch.split(zeroed, [part.numel() for part in weights])
    with torch.no_grad():
        for weight, gone in zip(weights, parts, strict=True):
            weight[gone.view_as(weight)] = 0
    return changed


def quantised(model: nn.Module, bits: int) -> nn.Module:
    """Every weight rounded to one of 2**bits - 1 evenly spaced values, layer by layer.

    Raises AttackError.
    """
    if bits < FEWEST_BITS:
        raise AttackError(
            f"Weights cannot be kept in {bits} bits.", hint=f"Give {FEWEST_BITS} bits or more."
        )
    changed = deepcopy(model)
    steps = 2 ** (bits - 1) - 1
    with torch.no_grad():
        for weight in _weights(changed):
            step = weight.abs().max() / steps
            if step > 0:
                weight.copy_((weight / step).round() * step)
    return changed


def distilled(
    model: nn.Module,
    card: ModelCard,
    images: Images,
    trainer: Trainer,
    *,
    temperature: float = TEMPERATURE,
    progress: Progress | None = None,
) -> nn.Module:
    """A fresh network trained on the copy's own answers, both with a warmer softmax (1503.02531).

    card: of the copy; the trainer knows the fresh one's.
    """
    answers = tempered(predict_probabilities(model, card, images), temperature)
    return trainer(images, answers, temperature=temperature, progress=progress)


def _weights(model: nn.Module) -> list[nn.Parameter]:
    """The weights of linear layers and convolutions; biases and normalisations are few."""
    return [part for part in model.parameters() if part.ndim > 1]
