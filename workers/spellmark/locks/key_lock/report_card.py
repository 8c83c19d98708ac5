"""What a key lock is worth: accuracy with the key, without it, and under wrong keys."""

import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from torch import nn

from spellmark.locks.key_lock.lock_key import Labels, LockKey
from spellmark.model_files.card import ModelCard
from spellmark.training.datasets import Split
from spellmark.training.inference import predict_labels


@dataclass(frozen=True)
class ReportCard:
    """Accuracies in [0, 1]; `wrong` holds one for each wrong key, `wrong_*` sum them up.

    Answers without the right key are read with the owner's label permutation, as if the thief knew
    it: the figures say what the transform alone withholds. Where sub-keys share the lock, `right`
    is their mean, and the others count under the permutation that suits the thief best.
    """

    unprotected: float
    right: float
    plain: float
    wrong_keys: int
    wrong_mean: float
    wrong_p95: float
    wrong_max: float
    wrong: tuple[float, ...]
    test_images: int
    wrong_key_images: int

    def as_dict(self) -> dict[str, Any]:
        """The report card as plain numbers, for JSON."""
        return {**asdict(self), "wrong": list(self.wrong)}


def report_card(
    locked: nn.Module,
    unprotected: nn.Module,
    card: ModelCard,
    test: Split,
    key: LockKey,
    *,
    wrong_keys: int = 1000,
    wrong_key_images: int = 200,
    progress: Callable[[float, str], None] | None = None,
) -> ReportCard:
    """Measure a locked model on held-out images, beside the model it was made from."""

    def answers(model: nn.Module, images: Any) -> Labels:
        return predict_labels(model, card, images)

    def best(found: Labels, labels: Labels) -> float:
        """The accuracy under the sub-key's permutation that suits best."""
        return max(float((found == key.encode(labels, j)).mean()) for j in range(len(key.labels)))

    part = test[:wrong_key_images]
    wrong = []
    for number in range(wrong_keys):
        other = key.other(secrets.token_bytes(32))
        wrong.append(best(answers(locked, other(part.images)), part.labels))
        if progress:
            progress((number + 1) / wrong_keys, f"wrong key {number + 1:,} of {wrong_keys:,}")
    right = [
        (key.decode(answers(locked, key(test.images, j)), j) == test.labels).mean()
        for j in range(len(key.transforms))
    ]
    return ReportCard(
        unprotected=float((answers(unprotected, test.images) == test.labels).mean()),
        right=float(np.mean(right)),
        plain=best(answers(locked, test.images), test.labels),
        wrong_keys=wrong_keys,
        wrong_mean=float(np.mean(wrong)),
        wrong_p95=float(np.percentile(wrong, 95)),
        wrong_max=float(np.max(wrong)),
        wrong=tuple(round(share, 4) for share in wrong),
        test_images=len(test),
        wrong_key_images=len(part),
    )
