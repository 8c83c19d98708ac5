"""Embedding: the owner's model learns the triggers beside what it knows."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import nn

from spellmark.model_files.card import ModelCard
from spellmark.training.datasets import Split
from spellmark.training.fit import Batch, Recipe, fit, one_hot
from spellmark.watermarks.trigger.parameters import TriggerMarkError
from spellmark.watermarks.trigger.trigger_key import Images, TriggerKey

# A rate at which the model still moves: a mark that was learnt timidly is soon forgotten.
RECIPE = Recipe(epochs=10, learning_rate=4e-3)
# By so many shades every pixel of a trigger is moved while it is learnt. What is learnt of a whole
# neighbourhood survives more of a thief's training than what is learnt of a point.
NOISE = 48


def embed(
    model: nn.Module,
    card: ModelCard,
    data: Split,
    key: TriggerKey,
    recipe: Recipe = RECIPE,
    *,
    checkpoint: Path | None = None,
    progress: Callable[[float, str], None] | None = None,
) -> nn.Module:
    """Fine-tune `model` in place so that it gives triggers their labels, and return it.

    data: labelled images, such as the model was trained on. Every batch is half images, half
    triggers under fresh noise. Raises TriggerMarkError where the key is for another model.
    """
    check_fits(key, card)

    def make_batch(
        images: Images, labels: npt.NDArray[np.int64], generator: np.random.Generator
    ) -> Batch:
        chosen = generator.integers(0, key.parameters.triggers, len(images))
        noise = generator.integers(-NOISE, NOISE, key.images[chosen].shape, np.int16, endpoint=True)
        noisy = np.clip(key.images[chosen] + noise, 0, 255).astype(np.uint8)
        wanted = np.concatenate([labels, key.labels[chosen]])
        return np.concatenate([images, noisy]), one_hot(wanted, card.classes)

    return fit(
        model, card, data, recipe, make_batch=make_batch, checkpoint=checkpoint, progress=progress
    )


def check_fits(key: TriggerKey, card: ModelCard) -> None:
    """Raise TriggerMarkError unless the key's images and classes are the model's."""
    wanted = (card.channels, card.height, card.width), card.classes
    if (key.parameters.shape, key.parameters.classes) != wanted:
        raise TriggerMarkError(
            f"The key is for {key.parameters.classes} classes and images of "
            f"{key.parameters.shape}; the model has {card.classes} and takes {wanted[0]}.",
            hint="Make a key for this model.",
        )
