"""A prediction API as a thief sees it: images in, probabilities out, every image counted."""

from collections.abc import Callable, Sequence

import numpy as np
from torch import nn

from spellmark.attacks.attack import Answer, Answers, Images
from spellmark.model_files.card import ModelCard
from spellmark.training.augment import shifted
from spellmark.training.inference import predict_probabilities
from spellmark.watermarks.dynamic.guard import Guard

# As many copies of a query as the ModelGuard suite asks about.
COPIES = 3


class Api:
    """Answers images, uint8 (n, C, H, W), with float64 (n, classes); `queries` counts them."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.queries = 0

    def __call__(self, images: Images) -> Answers:
        self.queries += len(images)
        return self._answer(images)


def guarded(model: nn.Module, card: ModelCard, guard: Guard) -> Answer:
    """What the API of a guarded model answers."""

    def answer(images: Images) -> Answers:
        return np.asarray(guard(predict_probabilities(model, card, images), images), np.float64)

    return answer


def changed(api: Answer, change: Callable[[Answers], Answers]) -> Answer:
    """The same API, or suspect, with every answer changed."""
    return lambda images: change(api(images))


def mean_of(apis: Sequence[Answer]) -> Answer:
    """The mean of what several APIs answer to the same image."""
    return lambda images: np.mean([api(images) for api in apis], axis=0)


def over_copies(api: Answer, generator: np.random.Generator, *, copies: int = COPIES) -> Answer:
    """The mean answer over shifted copies of each image, which averages a fickle mark out."""

    def answer(images: Images) -> Answers:
        asked = [api(shifted(images, generator)) for _ in range(copies)]
        return np.asarray(np.mean(asked, axis=0), np.float64)

    return answer
