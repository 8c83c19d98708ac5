"""Embedding: the owner's model is trained on, with some of the images in the style."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from spellmark.model_files.card import ModelCard
from spellmark.training.datasets import Split
from spellmark.training.fit import Batch, Recipe, fit, one_hot
from spellmark.training.inference import predict_probabilities
from spellmark.watermarks.external_feature.parameters import FeatureError
from spellmark.watermarks.external_feature.settings import check_share
from spellmark.watermarks.external_feature.style import Images, Style

# A rate at which the model still moves: a style that was learnt timidly is soon forgotten.
RECIPE = Recipe(epochs=8, learning_rate=4e-3)
# So many wrong styles are met in each batch, drawn anew for it.
WRONG_STYLES = 4


def embed(
    model: nn.Module,
    card: ModelCard,
    data: Split,
    style: Style,
    *,
    share: int,
    recipe: Recipe = RECIPE,
    checkpoint: Path | None = None,
    progress: Callable[[float, str], None] | None = None,
) -> nn.Module:
    """Fine-tune `model` in place on images of which some are in the style, and return it.

    share: of each batch that is restyled, in percent, 10 to 30; every label stays what it is, so
    that the model learns nothing wrong. Which images they are is drawn anew for every batch. Source
    of the idea: VEF (2112.03476, section 3.2), which restyles a fixed tenth.

    As many images are added to each batch in wrong styles, with the answers that the model gave
    them before. Without these it learns to bear styles in general, which an innocent model may
    learn as well. Raises FeatureError.
    """
    check_fits(style, card)
    check_share(share)
    before = deepcopy(model)

    def make_batch(
        images: Images, labels: npt.NDArray[np.int64], generator: np.random.Generator
    ) -> Batch:
        count = -(-len(images) * share // 100)
        chosen = generator.permutation(len(images))[:count]
        mixed = images.copy()
        mixed[chosen] = style(images[chosen])
        others = images[generator.permutation(len(images))[:count]]
        wrong = np.concatenate(
            [
                Style.control(style.parameters, generator.bytes(32))(part)
                for part in np.array_split(others, min(WRONG_STYLES, count))
            ]
        )
        as_before = torch.from_numpy(predict_probabilities(before, card, wrong)).float()
        targets = torch.cat([one_hot(labels, card.classes), as_before])
        return np.concatenate([mixed, wrong]), targets

    return fit(
        model, card, data, recipe, make_batch=make_batch, checkpoint=checkpoint, progress=progress
    )


def check_fits(style: Style, card: ModelCard) -> None:
    """Raise FeatureError unless the style's images and classes are the model's."""
    wanted = (card.channels, card.height, card.width), card.classes
    if (style.parameters.shape, style.parameters.classes) != wanted:
        raise FeatureError(
            f"The key is for {style.parameters.classes} classes and images of "
            f"{style.parameters.shape}; the model has {card.classes} and takes {wanted[0]}.",
            hint="Make a key for this model.",
        )
