"""A small network before the frozen locked model, learned from a few labelled images."""

from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from spellmark.attacks.attack import LEAST_PROBABILITY, Answers, Images, Progress, Target
from spellmark.training.datasets import Split
from spellmark.training.inference import BATCH, device

LEARNING_BATCH = 64
LABELS_RATE = 0.1


class Front(nn.Module):
    """Maps pixels, float32 (n, channels, height, width) in [0, 1], to pixels of the same shape."""


class PixelMap(Front):
    """A scale, unless it is to stay at one, and a bias for every value of the image."""

    def __init__(self, shape: tuple[int, int, int], *, scaled: bool = True) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(shape), requires_grad=scaled)
        self.bias = nn.Parameter(torch.zeros(shape))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """pixels · scale + bias."""
        return pixels * self.scale + self.bias


class FrontedModel:
    """A front, the frozen model of the target behind it, and a relaxed relabelling of its answers.

    The relabelling is learned together with the front where the lock's labels are keyed.
    """

    def __init__(self, target: Target, front: Front) -> None:
        card = target.card
        self.front = front.to(device())
        self._model = deepcopy(target.model).to(device()).eval().requires_grad_(False)
        self._prepared = target.prepared
        self._mean = torch.tensor(card.mean, device=device()).view(1, -1, 1, 1)
        self._std = torch.tensor(card.std, device=device()).view(1, -1, 1, 1)
        self._keyed = target.parameters.labels == "keyed"
        self._labels = torch.zeros((card.classes, card.classes), device=device())

    def learn(
        self,
        attacker: Split,
        *,
        generator: np.random.Generator,
        steps: int,
        learning_rate: float,
        progress: Progress | None = None,
    ) -> None:
        """Minimise the cross-entropy on the labelled images with Adam."""
        labels = torch.from_numpy(attacker.labels).to(device())
        self._labels.requires_grad_(self._keyed)
        groups: list[dict[str, Any]] = [
            {"params": [part for part in self.front.parameters() if part.requires_grad]},
            {"params": [self._labels], "lr": LABELS_RATE},
        ]
        optimiser = torch.optim.Adam(groups, learning_rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps, learning_rate / 100)
        size = min(LEARNING_BATCH, len(attacker))
        for step in range(steps):
            chosen = generator.choice(len(attacker), size, replace=False)
            likelihoods = self._relabelled(self._logits(attacker.images[chosen]))
            loss = F.nll_loss(likelihoods, labels[chosen])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            if progress:
                progress((step + 1) / steps, f"step {step + 1:,} of {steps:,}")

    @torch.inference_mode()
    def answers(self, images: Images) -> Answers:
        """Logarithms of the class probabilities, float64 (n, classes), of plain uint8 images."""
        parts = [
            F.log_softmax(self._logits(images[start : start + BATCH]), 1).cpu().numpy()
            for start in range(0, len(images), BATCH)
        ]
        return np.maximum(np.concatenate(parts).astype(np.float64), np.log(LEAST_PROBABILITY))

    def _logits(self, images: Images) -> torch.Tensor:
        pixels = torch.from_numpy(self._prepared(images)).to(device()).float().div_(255)
        logits: torch.Tensor = self._model((self.front(pixels) - self._mean) / self._std)
        return logits

    def _relabelled(self, logits: torch.Tensor) -> torch.Tensor:
        if not self._keyed:
            return F.log_softmax(logits, 1)
        mixed = F.softmax(logits, 1) @ sinkhorn(self._labels).T
        return mixed.clamp_min(LEAST_PROBABILITY).log()


def sinkhorn(logits: torch.Tensor, iterations: int = 20) -> torch.Tensor:
    """The doubly stochastic matrices (…, n, n) that rows and columns are scaled to (1802.08665)."""
    for _ in range(iterations):
        logits = logits - logits.logsumexp(-1, keepdim=True)
        logits = logits - logits.logsumexp(-2, keepdim=True)
    return logits.exp()
