"""The training loop: one recipe, resumable at every epoch."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional as F

from spellmark.model_files.card import ModelCard
from spellmark.training.datasets import Split
from spellmark.training.inference import device, to_input
from spellmark.training.segmentation import SegmentationSplit

Batch = tuple[npt.NDArray[np.uint8], torch.Tensor]
MakeBatch = Callable[[npt.NDArray[np.uint8], npt.NDArray[np.int64], np.random.Generator], Batch]


@dataclass(frozen=True)
class Recipe:
    """How a model is trained: AdamW with a one-cycle schedule."""

    epochs: int = 8
    batch: int = 128
    learning_rate: float = 4e-3
    weight_decay: float = 1e-4
    seed: int = 0


def one_hot(labels: npt.NDArray[np.int64], classes: int) -> torch.Tensor:
    """Targets, float32 (n, classes, ...), for labels of shape (n, ...)."""
    return F.one_hot(torch.from_numpy(labels), classes).movedim(-1, 1).float()


def fit(
    model: nn.Module,
    card: ModelCard,
    data: Split | SegmentationSplit,
    recipe: Recipe,
    *,
    make_batch: MakeBatch | None = None,
    checkpoint: Path | None = None,
    progress: Callable[[float, str], None] | None = None,
) -> nn.Module:
    """Train `model` in place on `data` and return it.

    `make_batch` turns (images, labels, generator) into (images, target distributions); a lock puts
    its transform there. A segmenter learns one distribution for each pixel. With `checkpoint` the
    state is kept after every epoch, and a call with the same arguments takes up from it: the random
    numbers depend on the seed and the epoch alone. `progress` gets the share done in [0, 1] and a
    line of text; it may raise to stop the training.
    """
    model = model.to(device())
    steps = max(1, -(-len(data) // recipe.batch))
    optimiser = torch.optim.AdamW(
        model.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.learning_rate, total_steps=steps * recipe.epochs
    )
    parts = {"model": model, "optimiser": optimiser, "schedule": schedule}
    first = _resume(checkpoint, parts)
    for epoch in range(first, recipe.epochs):
        generator = np.random.default_rng([recipe.seed, epoch])
        model.train()
        total = torch.zeros((), device=device())
        for step, (images, targets) in enumerate(
            _batches(card, data, recipe, generator, make_batch)
        ):
            loss = F.cross_entropy(model(to_input(images, card)), targets.to(device()))
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            total += loss.detach()
            if progress and step % 10 == 0:
                done = (epoch + step / steps) / recipe.epochs
                progress(done, f"epoch {epoch + 1} of {recipe.epochs}")
        _keep(checkpoint, parts, epoch + 1)
        if progress:
            line = f"epoch {epoch + 1} of {recipe.epochs}: loss {float(total) / steps:.3f}"
            progress((epoch + 1) / recipe.epochs, line)
    return model.eval()


def _batches(
    card: ModelCard,
    data: Split | SegmentationSplit,
    recipe: Recipe,
    generator: np.random.Generator,
    make_batch: MakeBatch | None,
) -> Iterator[Batch]:
    order = generator.permutation(len(data))
    for start in range(0, len(order), recipe.batch):
        chosen = order[start : start + recipe.batch]
        images, labels = data.images[chosen], data.labels[chosen]
        if make_batch is None:
            yield images, one_hot(labels, card.classes)
        else:
            yield make_batch(images, labels, generator)


def _resume(checkpoint: Path | None, parts: dict[str, object]) -> int:
    if checkpoint is None or not checkpoint.exists():
        return 0
    state = torch.load(checkpoint, map_location=device(), weights_only=True)
    for name, part in parts.items():
        part.load_state_dict(state[name])  # type: ignore[attr-defined]
    return int(state["epoch"])


def _keep(checkpoint: Path | None, parts: dict[str, object], epoch: int) -> None:
    if checkpoint is None:
        return
    state = {name: part.state_dict() for name, part in parts.items()}  # type: ignore[attr-defined]
    temporary = checkpoint.with_suffix(".part")
    torch.save({**state, "epoch": epoch}, temporary)
    temporary.replace(checkpoint)
