"""Classifiers, built from a model card that may be a stranger's."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain

import torch
from torch import nn
from torch.nn.modules.module import register_module_module_registration_hook

from spellmark.model_files.card import ModelCard
from spellmark.training import timm_models, transformers_models
from spellmark.training.errors import ArchitectureError
from spellmark.training.small_nets import SmallCNN, SmallMLP, SmallResNet

__all__ = [
    "ARCHITECTURES", "ArchitectureError", "SmallCNN", "SmallMLP", "SmallResNet", "build", "fresh",
    "outline",
]  # fmt: skip

# Image classifiers in common use have at most about 700 million weights and 2,000 modules.
MAX_NUMBERS = 10**9
MAX_MODULES = 20_000

Maker = Callable[[], nn.Module]

# Each gives the maker of a card's model, after the libraries it needs were imported.
# The config of a small network may say its “width”.
ARCHITECTURES: dict[str, Callable[[ModelCard], Maker]] = {
    "small-cnn": lambda card: partial(SmallCNN, card, **card.config),
    "small-mlp": lambda card: partial(SmallMLP, card, **card.config),
    "small-resnet": lambda card: partial(SmallResNet, card, **card.config),
    "timm": timm_models.maker,
    "transformers": transformers_models.maker,
}


def build(card: ModelCard) -> nn.Module:
    """A freshly initialised model of the card's architecture.

    It takes float32 (n, channels, height, width), normalised, and returns logits (n, classes).
    A card asks nothing of the network, runs no code but that of the libraries installed here, and
    is refused before memory is taken if its model is too large or does not take its images.

    Raises ArchitectureError.
    """
    outline(card)
    return _maker(card)()


def fresh(card: ModelCard, seed: int) -> nn.Module:
    """The same from a seed of its own, which leaves torch's generator as it was."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build(card)


def outline(card: ModelCard) -> nn.Module:
    """The same model with shapes only, on torch's “meta” device. Raises ArchitectureError."""
    try:
        make = _maker(card)
        with torch.device("meta"), _few_modules():
            model = make().eval()
            count = sum(part.numel() for part in chain(model.parameters(), model.buffers()))
            _refuse_large(count, MAX_NUMBERS, "numbers")
            answer = model(torch.zeros(1, card.channels, card.height, card.width))
    except ArchitectureError:
        raise
    # The libraries check their arguments here and there, if at all.
    except Exception as error:
        raise ArchitectureError(
            f"The model card describes no “{card.architecture}” model that takes "
            f"{card.channels}×{card.height}×{card.width} images.",
            hint="Use the card that the model was saved with, or the image size it was made for.",
        ) from error
    if not isinstance(answer, torch.Tensor) or answer.shape != (1, card.classes):
        raise ArchitectureError(
            f"The model of the card does not answer with {card.classes} numbers an image.",
            hint="Use a classifier, and the number of classes that it was saved with.",
        )
    return model


def _maker(card: ModelCard) -> Maker:
    if card.architecture not in ARCHITECTURES:
        raise ArchitectureError(
            f"The architecture “{card.architecture}” is not known here.",
            hint=f"Known: {', '.join(sorted(ARCHITECTURES))}.",
        )
    return ARCHITECTURES[card.architecture](card)


@contextmanager
def _few_modules() -> Iterator[None]:
    """Stop a model of endlessly many layers while it is being built: meta weights cost nothing,
    but each module takes memory and time.
    """
    count = 0

    def registered(*_: object) -> None:
        nonlocal count
        count += 1
        _refuse_large(count, MAX_MODULES, "modules")

    handle = register_module_module_registration_hook(registered)
    try:
        yield
    finally:
        handle.remove()


def _refuse_large(count: int, most: int, what: str) -> None:
    if count > most:
        raise ArchitectureError(
            f"The model of the card has more than {most:,} {what}.",
            hint="Use a smaller model.",
        )
