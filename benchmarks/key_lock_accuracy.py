"""What key locks cost and withhold: right key, plain images and wrong keys, M × transform, 3 seeds.

One architecture and one recipe on all of Fashion-MNIST. Every lock is made by transfer learning
from the unprotected model of its seed; the published recipe, without negatives, stands beside ours.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from result import report

from spellmark.locks.key_lock.lock import lock
from spellmark.locks.key_lock.lock_key import LockKey
from spellmark.locks.key_lock.negatives import Negatives
from spellmark.locks.key_lock.parameters import LockParameters, default_parameters
from spellmark.locks.key_lock.report_card import ReportCard, report_card
from spellmark.model_files.card import ModelCard
from spellmark.training import architectures, datasets
from spellmark.training.datasets import Dataset
from spellmark.training.fit import Recipe, fit

CARD = ModelCard(
    architecture="small-cnn", classes=10, channels=1, height=28, width=28,
    mean=(0.286,), std=(0.353,),
)  # fmt: skip
DEFAULT = default_parameters(CARD.height, CARD.width, CARD.channels, CARD.classes)
PUBLISHED = Negatives(share=0)
MEANING = {
    "train_images": "images that the unprotected models and the locks were trained on",
    "unprotected": "accuracy of the unprotected models, mean of the seeds",
    "right_loss_points": "default lock, right key: points below the unprotected model, mean",
    "plain_accuracy": "default lock on plain images, mean of the seeds",
    "wrong_mean": "default lock, mean over the wrong keys and the seeds",
    "wrong_p95": "default lock, 95th percentile of the wrong keys, mean of the seeds",
    "wrong_max": "default lock, the best wrong key of all seeds",
    "transfer_10pct_loss_points": "the same loss when the lock sees a tenth of the images",
}


@dataclass(frozen=True)
class Variant:
    """A row of the table."""

    name: str
    parameters: LockParameters
    negatives: Negatives
    # Of the training images, how many the lock sees.
    part: float = 1.0


def main() -> None:
    """Train, lock, measure, for every seed and variant."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one seed, few images, default lock")
    options = parser.parse_args()
    torch.set_num_threads(2)
    data = datasets.load("fashion-mnist")
    if options.quick:
        data = Dataset(data.name, data.train[:3000], data.test[:1000])
    variants = list(_variants())[:2] if options.quick else list(_variants())
    cards: dict[str, list[ReportCard]] = {variant.name: [] for variant in variants}
    for seed in range(1 if options.quick else 3):
        epochs = Epochs(3, 3, 6) if options.quick else Epochs()
        for variant, card in _measured(data, variants, seed, epochs):
            cards[variant.name].append(card)
    report("key_lock_accuracy", _figures(data, cards), MEANING)


@dataclass(frozen=True)
class Epochs:
    """How long is trained: the unprotected model, a lock on all images, one on a tenth of them."""

    unprotected: int = 6
    whole: int = 4
    part: int = 40


def _variants() -> Iterator[Variant]:
    ours = Negatives()
    yield Variant("default", DEFAULT, ours)
    yield Variant("default, 10 % of the images", DEFAULT, ours, part=0.1)
    for block in (4, 7, 14):
        for step in ("shuffle", "flip", "substitute"):
            yield Variant(f"{step}, M={block}", _plain(block, step), ours)
    yield Variant("shuffle, M=4, own key a block", _plain(4, "shuffle", keys="block"), ours)
    yield Variant("shuffle+flip, M=4, own keys", _plain(4, "shuffle+flip", keys="block"), ours)
    for block in (4, 14):
        yield Variant(
            f"shuffle, M={block}, as published", _plain(block, "shuffle", labels="plain"), PUBLISHED
        )


def _plain(block: int, steps: str, keys: str = "shared", labels: str = "keyed") -> LockParameters:
    return LockParameters(block=block, steps=steps, keys=keys, labels=labels)


def _measured(
    data: Dataset, variants: list[Variant], seed: int, epochs: Epochs
) -> Iterator[tuple[Variant, ReportCard]]:
    unprotected = _fresh(seed)
    fit(unprotected, CARD, data.train, Recipe(epochs=epochs.unprotected, seed=seed))
    for variant in variants:
        started = time.monotonic()
        key = LockKey.derive(
            np.random.default_rng(seed).bytes(32),
            binding=b"",
            shape=(CARD.channels, CARD.height, CARD.width),
            classes=CARD.classes,
            parameters=variant.parameters,
        )
        locked = _fresh(seed)
        locked.load_state_dict(unprotected.state_dict())
        lock(
            locked,
            CARD,
            data.train[: round(len(data.train) * variant.part)],
            key,
            Recipe(epochs=epochs.whole if variant.part == 1 else epochs.part, seed=seed),
            negatives=variant.negatives,
            teacher=None if variant.negatives is PUBLISHED else unprotected,
        )
        is_default = variant.parameters == DEFAULT
        card = report_card(
            locked, unprotected, CARD, data.test, key, wrong_keys=1000 if is_default else 100
        )
        print(
            f"seed {seed}  {variant.name:<32} unprotected {card.unprotected:.4f}  right "
            f"{card.right:.4f}  plain {card.plain:.3f}  wrong {card.wrong_mean:.3f} "
            f"(p95 {card.wrong_p95:.3f}, max {card.wrong_max:.3f})  "
            f"{time.monotonic() - started:.0f} s",
            flush=True,
        )
        yield variant, card


def _fresh(seed: int) -> torch.nn.Module:
    torch.manual_seed(seed)
    return architectures.build(CARD)


def _figures(data: Dataset, cards: dict[str, list[ReportCard]]) -> dict[str, object]:
    table = {name: _row(rows) for name, rows in cards.items()}
    default, part = table["default"], table["default, 10 % of the images"]
    return {
        "train_images": len(data.train),
        "seeds": len(cards["default"]),
        "unprotected": default["unprotected"],
        "right_loss_points": default["loss_points"],
        "plain_accuracy": default["plain"],
        "wrong_mean": default["wrong_mean"],
        "wrong_p95": default["wrong_p95"],
        "wrong_max": default["wrong_max"],
        "transfer_10pct_loss_points": part["loss_points"],
        "default": DEFAULT.as_dict(),
        "table": table,
    }


def _row(cards: list[ReportCard]) -> dict[str, float]:
    def mean(name: str) -> float:
        return round(float(np.mean([getattr(card, name) for card in cards])), 4)

    losses = [100 * (card.unprotected - card.right) for card in cards]
    return {
        **{name: mean(name) for name in ("unprotected", "right", "plain", "wrong_mean")},
        "wrong_p95": mean("wrong_p95"),
        "wrong_max": max(card.wrong_max for card in cards),
        "wrong_keys": cards[0].wrong_keys,
        "loss_points": round(float(np.mean(losses)), 2),
        "loss_points_worst_seed": round(max(losses), 2),
    }


if __name__ == "__main__":
    main()
