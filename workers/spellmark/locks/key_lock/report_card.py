"""What a key lock is worth: accuracy with the key, without it, and under wrong keys."""

import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
from torch import nn

from spellmark.locks.key_lock.transforms import Shuffle
from spellmark.model_files.card import ModelCard
from spellmark.training.datasets import Split
from spellmark.training.inference import accuracy


@dataclass(frozen=True)
class ReportCard:
    """Accuracies in [0, 1]; `wrong_*` over `wrong_keys` fresh random keys."""

    unprotected: float
    right: float
    plain: float
    wrong_keys: int
    wrong_mean: float
    wrong_p95: float
    wrong_max: float
    test_images: int
    wrong_key_images: int

    def as_dict(self) -> dict[str, float | int]:
        """The report card as plain numbers, for JSON."""
        return asdict(self)


def report_card(
    locked: nn.Module,
    unprotected: nn.Module,
    card: ModelCard,
    test: Split,
    transform: Shuffle,
    *,
    wrong_keys: int = 100,
    wrong_key_images: int = 500,
    progress: Callable[[float, str], None] | None = None,
) -> ReportCard:
    """Measure a locked model on held-out images, beside the model it was made from."""
    part = test[:wrong_key_images]
    wrong = []
    for number in range(wrong_keys):
        other = Shuffle.from_key(secrets.token_bytes(32), transform.geometry)
        wrong.append(accuracy(locked, card, other(part.images), part.labels))
        if progress:
            progress((number + 1) / wrong_keys, f"wrong key {number + 1} of {wrong_keys}")
    return ReportCard(
        unprotected=accuracy(unprotected, card, test.images, test.labels),
        right=accuracy(locked, card, transform(test.images), test.labels),
        plain=accuracy(locked, card, test.images, test.labels),
        wrong_keys=wrong_keys,
        wrong_mean=float(np.mean(wrong)),
        wrong_p95=float(np.percentile(wrong, 95)),
        wrong_max=float(np.max(wrong)),
        test_images=len(test),
        wrong_key_images=len(part),
    )
