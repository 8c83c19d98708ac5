"""Scores of models at hand: by their answers, and by the gradients of their files.

By answers: see `spellmark.evidence.feature_scores`. By gradients: the signs of the loss's gradient
at images in the style, compared with the owner's by their cosine, after MOVE (2208.02820,
white-box). MOVE takes gradients of the weights and gives their signs to a classifier; these are
gradients of the pixels, so that other architectures can be compared, and units that were permuted
or rescaled hide nothing.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional as F

from spellmark.evidence.answer_access import Access
from spellmark.evidence.feature_scores import LEAST_PROBABILITY
from spellmark.evidence.fingerprint_scores import shows_probabilities
from spellmark.fingerprints.compare import as_shown
from spellmark.model_files.card import ModelCard
from spellmark.training.datasets import Split
from spellmark.training.inference import accuracy, device, predict_probabilities, to_input
from spellmark.watermarks.external_feature.embed import check_fits
from spellmark.watermarks.external_feature.parameters import FeatureError
from spellmark.watermarks.external_feature.style import Images, Style

Answers = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
Signs = npt.NDArray[np.int8]

BATCH = 128
FULL = Access("all")
# The restyled model may have lost no more accuracy than this.
MOST_LOST = 0.05
# How much better it must bear the style, in nats, than the model before and than a wrong style; and
# of the images that it gets right, how many it must get right in the style.
LEAST_GAIN, LEAST_SHARE = 0.3, 0.5


def style_scores(
    labels: Labels, plain: Sequence[Answers], styled: Sequence[Answers], access: Access = FULL
) -> list[float]:
    """The score of each model, as a suspect of this access would get it.

    labels: true classes, int64 (n,). plain, styled: each model's probabilities, float64
    (n, classes), for the same n images as they are and in a style.
    """
    places = np.arange(len(labels))

    def measured(answers: Answers) -> Answers:
        shown = as_shown(answers, access)
        if shows_probabilities(access):
            found: Answers = np.log(np.maximum(shown[places, labels], LEAST_PROBABILITY))
        else:
            found = (shown.argmax(1) == labels).astype(np.float64)
        return found

    return [float((measured(b) - measured(a)).mean()) for a, b in zip(plain, styled, strict=True)]


def gradient_signs(model: nn.Module, card: ModelCard, images: Images, labels: Labels) -> Signs:
    """Signs of d cross-entropy / d pixel, int8 (n, C·H·W), in evaluation mode."""
    model = model.to(device()).eval()
    found = []
    for start in range(0, len(images), BATCH):
        part = slice(start, start + BATCH)
        given = to_input(images[part], card).requires_grad_(True)
        with torch.enable_grad():
            # Summed, not averaged: every image's gradient is its own. In double precision, since
            # a model that is sure of a class has gradients near nothing.
            wanted = torch.from_numpy(labels[part]).to(given.device)
            loss = F.cross_entropy(model(given).double(), wanted, reduction="sum")
            (gradient,) = torch.autograd.grad(loss, given)
        found.append(gradient.sign().flatten(1).to(torch.int8).cpu().numpy())
    return np.concatenate(found)


def gradient_score(owner: Signs, suspect: Signs) -> float:
    """The mean cosine of the two models' signs over n images, in [-1, 1]; higher is closer.

    An image at which one of them has no gradient counts as zero.
    """
    if owner.shape != suspect.shape:
        raise ValueError(f"signs of the shapes {owner.shape} and {suspect.shape} do not belong")
    products = (owner.astype(np.int64) * suspect).sum(1)
    lengths = np.sqrt(np.abs(owner).sum(1, dtype=np.int64) * np.abs(suspect).sum(1, dtype=np.int64))
    return float((products / np.where(lengths > 0, lengths, 1)).mean())


@dataclass(frozen=True)
class FeatureCard:
    """The restyled model beside the one that it was made from, on held-out images.

    accuracy_before, accuracy_after: on `test_images` images as they are; styled_before,
    styled_after: in the style. All in [0, 1]. score_before, score, control: the mean of
    log p(y | style) - log p(y | plain) of the model before, of the restyled one, and of it under a
    wrong style, in nats.
    """

    accuracy_before: float
    accuracy_after: float
    styled_before: float
    styled_after: float
    score_before: float
    score: float
    control: float
    test_images: int

    def as_dict(self) -> dict[str, Any]:
        """The card for JSON: shares by name, and below `scores` those in nats."""
        shares = asdict(self)
        scores = {name: shares.pop(name) for name in ("score_before", "score", "control")}
        return shares | {"scores": scores}

    def require(self) -> None:
        """Raise FeatureError where the model was harmed, or did not learn the style."""
        if self.accuracy_after < self.accuracy_before - MOST_LOST:
            raise FeatureError(
                f"The restyled model is right on {self.accuracy_after:.1%} of the test images, the "
                f"one before it on {self.accuracy_before:.1%}: too much is lost.",
                hint="Train it on more images, restyle fewer of them, or make a key of less "
                "strength.",
            )
        known = self.score >= max(self.score_before, self.control) + LEAST_GAIN
        if not known or self.styled_after < LEAST_SHARE * self.accuracy_after:
            raise FeatureError(
                f"The model did not learn the style: it is right on {self.styled_after:.1%} of the "
                f"images in it, and scores {self.score:.2f}; {self.control:.2f} in a wrong style, "
                f"{self.score_before:.2f} before.",
                hint="Train it for more rounds, or make a key of more strength.",
            )


def measure(
    marked: nn.Module,
    unmarked: nn.Module,
    card: ModelCard,
    style: Style,
    test: Split,
    *,
    nonce: bytes,
) -> FeatureCard:
    """Measure the owner's model on held-out images. Raises FeatureError.

    nonce: of the wrong style that it is measured under as well.
    """
    check_fits(style, card)
    wrong = Style.control(style.parameters, nonce)
    in_style, in_wrong = style(test.images), wrong(test.images)

    def said(model: nn.Module, images: Images) -> Answers:
        return np.round(predict_probabilities(model, card, images), 6)

    plain_before, plain = said(unmarked, test.images), said(marked, test.images)
    before, after, control = style_scores(
        test.labels,
        [plain_before, plain, plain],
        [said(unmarked, in_style), said(marked, in_style), said(marked, in_wrong)],
    )

    def right(model: nn.Module, images: Images) -> float:
        return accuracy(model, card, images, test.labels)

    return FeatureCard(
        accuracy_before=right(unmarked, test.images), accuracy_after=right(marked, test.images),
        styled_before=right(unmarked, in_style), styled_after=right(marked, in_style),
        score_before=before, score=after, control=control, test_images=len(test),
    )  # fmt: skip
