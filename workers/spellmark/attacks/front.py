"""A small network before the frozen locked model, learned from a few labelled images."""

from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from spellmark.attacks.attack import LEAST_PROBABILITY, Answers, Images, Progress, Target
from spellmark.attacks.key_guess import KeyGuess
from spellmark.locks.key_lock.parameters import Geometry
from spellmark.locks.key_lock.transforms import block_places
from spellmark.training.datasets import Split
from spellmark.training.inference import BATCH, device

LEARNING_BATCH = 64
LABELS_RATE = 0.1


class Front(nn.Module):
    """Maps pixels, float32 (n, channels, height, width) in [0, 1], to pixels of the same shape."""


class FrontedModel:
    """A front, the frozen model of the target behind it, and a relaxed relabelling of its answers.

    The relabelling is learned together with the front where the lock's labels are keyed.
    """

    def __init__(self, target: Target, front: Front) -> None:
        card = target.card
        self.front = front.to(device())
        self._model = deepcopy(target.model).to(device()).eval().requires_grad_(False)
        self._padded = KeyGuess.identity(target.geometry, target.parameters).transform()
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
            {"params": list(self.front.parameters())},
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
        pixels = torch.from_numpy(self._padded(images)).to(device()).float().div_(255)
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


class InBlocks(Front):
    """A front that works on blocks: (n, blocks, positions), in the lock's own order."""

    places: torch.Tensor
    back: torch.Tensor

    def __init__(self, geometry: Geometry) -> None:
        super().__init__()
        places = torch.from_numpy(block_places(geometry).copy())
        self.register_buffer("places", places)
        self.register_buffer("back", places.ravel().argsort())

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """The pixels after `in_blocks`."""
        blocks = self.in_blocks(pixels.flatten(1)[:, self.places])
        return blocks.flatten(1)[:, self.back].view_as(pixels)

    def in_blocks(self, values: torch.Tensor) -> torch.Tensor:
        """What the front does to the blocks' values."""
        raise NotImplementedError
