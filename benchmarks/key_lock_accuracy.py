"""What key locks cost and withhold: right key, plain images and wrong keys, M × transform, 3 seeds.

One architecture and one recipe on all of Fashion-MNIST. Every lock is made by transfer learning
from the unprotected model of its seed; the published recipe, without negatives, stands beside ours.
Rows that were measured before, with the same settings, are taken from benchmarks/cache.
"""

import argparse
import time
from dataclasses import dataclass, replace

import numpy as np
import torch
from kept import CACHE, kept
from result import report

from spellmark.locks.key_lock.lock import RECIPE, lock
from spellmark.locks.key_lock.lock_key import LockKey
from spellmark.locks.key_lock.negatives import Negatives
from spellmark.locks.key_lock.parameters import LockParameters, default_parameters
from spellmark.locks.key_lock.report_card import report_card
from spellmark.model_files.card import ModelCard
from spellmark.training import architectures, datasets
from spellmark.training.datasets import Dataset
from spellmark.training.fit import Recipe, fit

CARD = ModelCard(
    architecture="small-resnet", classes=10, channels=1, height=28, width=28,
    mean=(0.286,), std=(0.353,),
)  # fmt: skip
DEFAULT = default_parameters(CARD.height, CARD.width, CARD.channels, CARD.classes)
PUBLISHED = Negatives(share=0)
SEEDS = 3
RATE = 4e-3
Row = dict[str, float]
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
    # Whether the unprotected model teaches.
    taught: bool = False
    # Of the training images, how many the lock sees.
    part: float = 1.0


def main() -> None:
    """Train, lock, measure, for every seed and variant."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one seed, few images, default lock")
    parser.add_argument(
        "--seed", type=int, help="measure the rows of this seed only, for the cache"
    )
    parser.add_argument("--rows", default="", help="with --seed: only rows whose name has this")
    options = parser.parse_args()
    torch.set_num_threads(2 if options.seed is None else 1)
    data = datasets.load("fashion-mnist")
    if options.quick:
        data = Dataset(data.name, data.train[:3000], data.test[:1000])
    variants = _variants()[:2] if options.quick else _variants()
    if options.seed is not None:
        variants = [variant for variant in variants if options.rows in variant.name]
    epochs = Epochs(3, 3, 6, 12) if options.quick else Epochs()
    seeds = range(1 if options.quick else SEEDS)
    rows = {
        variant.name: [
            _row_of(data, variant, seed, epochs)
            for seed in (seeds if options.seed is None else [options.seed])
        ]
        for variant in variants
    }
    if options.seed is None:
        report("key_lock_accuracy", _figures(data, rows), MEANING, quick=options.quick)


@dataclass(frozen=True)
class Epochs:
    """How long is trained: the unprotected model, a lock on labels, one that is taught, on all
    images and on a tenth of them."""

    unprotected: int = 6
    labels: int = 6
    taught: int = 12
    part: int = 120


def _variants() -> list[Variant]:
    ours = Negatives()
    published = {m: _lock(m, "shuffle", labels="plain") for m in (4, 14)}
    return [
        Variant("default", DEFAULT, ours, taught=True),
        Variant("default, 10 % of the images", DEFAULT, ours, taught=True, part=0.1),
        Variant("shuffle, M=4, own keys", DEFAULT, ours),
        *(
            Variant(f"{step}, M={block}", _lock(block, step), ours)
            for block in (4, 7, 14)
            for step in ("shuffle", "flip", "substitute")
        ),
        Variant("shuffle+flip, M=4", _lock(4, "shuffle+flip"), ours),
        *(Variant(f"shuffle, M={m}, as published", published[m], PUBLISHED) for m in published),
    ]


def _lock(block: int, steps: str, labels: str = "keyed") -> LockParameters:
    return LockParameters(block=block, steps=steps, labels=labels)


def _row_of(data: Dataset, variant: Variant, seed: int, epochs: Epochs) -> Row:
    """One lock of one seed, measured; from the cache where it stands there."""
    settings = (
        CARD,
        variant,
        seed,
        _length(variant, epochs),
        epochs.unprotected,
        len(data.train),
        RECIPE,
        torch.__version__,
    )
    row: Row = kept("", settings, lambda: _measured(data, variant, seed, epochs))
    return row


def _measured(data: Dataset, variant: Variant, seed: int, epochs: Epochs) -> Row:
    started = time.monotonic()
    unprotected = _unprotected(data, seed, epochs)
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
        replace(RECIPE, epochs=_length(variant, epochs), seed=seed),
        negatives=variant.negatives,
        teacher=unprotected if variant.taught else None,
    )
    wrong_keys = 1000 if variant.taught else 100
    card = report_card(locked, unprotected, CARD, data.test, key, wrong_keys=wrong_keys)
    print(
        f"seed {seed}  {variant.name:<28} unprotected {card.unprotected:.4f}  right "
        f"{card.right:.4f}  plain {card.plain:.3f}  wrong {card.wrong_mean:.3f} "
        f"(p95 {card.wrong_p95:.3f}, max {card.wrong_max:.3f})  {time.monotonic() - started:.0f} s",
        flush=True,
    )
    return {name: value for name, value in card.as_dict().items() if name != "wrong"}


def _length(variant: Variant, epochs: Epochs) -> int:
    if not variant.taught:
        return epochs.labels
    return epochs.taught if variant.part == 1 else epochs.part


def _unprotected(data: Dataset, seed: int, epochs: Epochs) -> torch.nn.Module:
    path = (
        CACHE / f"unprotected-{CARD.architecture}-{len(data.train)}-{seed}-{epochs.unprotected}.pt"
    )
    model = _fresh(seed)
    if path.exists():
        model.load_state_dict(torch.load(path, weights_only=True))
        return model.eval()
    fit(model, CARD, data.train, Recipe(epochs.unprotected, learning_rate=RATE, seed=seed))
    CACHE.mkdir(exist_ok=True)
    torch.save(model.state_dict(), path)
    return model


def _fresh(seed: int) -> torch.nn.Module:
    torch.manual_seed(seed)
    return architectures.build(CARD)


def _figures(data: Dataset, rows: dict[str, list[Row]]) -> dict[str, object]:
    table = {name: _summary(found) for name, found in rows.items()}
    default, part = table["default"], table["default, 10 % of the images"]
    return {
        "train_images": len(data.train),
        "seeds": len(rows["default"]),
        "unprotected": default["unprotected"],
        "right_loss_points": default["loss_points"],
        "plain_accuracy": default["plain"],
        "wrong_mean": default["wrong_mean"],
        "wrong_p95": default["wrong_p95"],
        "wrong_max": default["wrong_max"],
        "transfer_10pct_loss_points": part["loss_points"],
        "default": DEFAULT.as_dict(),
        "architecture": CARD.architecture,
        "table": table,
    }


def _summary(rows: list[Row]) -> dict[str, float]:
    def mean(name: str) -> float:
        return round(float(np.mean([row[name] for row in rows])), 4)

    losses = [100 * (row["unprotected"] - row["right"]) for row in rows]
    return {
        **{name: mean(name) for name in ("unprotected", "right", "plain", "wrong_mean")},
        "wrong_p95": mean("wrong_p95"),
        "wrong_max": max(row["wrong_max"] for row in rows),
        "wrong_keys": rows[0]["wrong_keys"],
        "loss_points": round(float(np.mean(losses)), 2),
        "loss_points_worst_seed": round(max(losses), 2),
    }


if __name__ == "__main__":
    main()
