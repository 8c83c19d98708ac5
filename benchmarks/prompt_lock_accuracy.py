"""What prompt locks cost and withhold: the default lock, what negatives buy, prompt by prompt.

Fashion-MNIST, one architecture, one recipe. Every lock is made from the unprotected model of its
seed. The rows of the prompts follow the paper: edited images only, without negatives. The default
lock and the extra class, whose logit may be cut off, are measured on every seed, the other rows on
one. Rows that were measured before, with the same settings, are taken from benchmarks/cache.
"""

import argparse
import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from kept import CACHE, EDITS, EDITS_FOLDER, kept
from key_lock_accuracy import CARD
from owner_editors import owner_editor
from prompt_lock_segmentation import segmentation
from prompt_locks import SPELL, opened, trained_on, unprotected
from result import report, today

from spellmark.locks.prompt_lock.cached_editor import CachedEditor
from spellmark.locks.prompt_lock.editors import load_editor
from spellmark.locks.prompt_lock.image_operations import TRAINED
from spellmark.locks.prompt_lock.lock import RECIPE, lock
from spellmark.locks.prompt_lock.negatives import Negatives
from spellmark.locks.prompt_lock.objects import OBJECTS
from spellmark.locks.prompt_lock.policies import EXTRA, NONE, POLICIES, UNIFORM
from spellmark.locks.prompt_lock.prompt_key import PromptKey
from spellmark.locks.prompt_lock.public_editor import public_digest
from spellmark.locks.prompt_lock.report_card import near_edits, report_card
from spellmark.locks.prompt_lock.strength import strength
from spellmark.locks.prompt_lock.train_editor import PROMPTS
from spellmark.training import architectures, datasets
from spellmark.training.datasets import Dataset
from spellmark.training.inference import predict_probabilities

SEEDS, TRAIN, TEST, OWNERS_TRIED = 3, 12_000, 2_000, 1
# The prompts' rows tell a pattern, which fewer images and one seed show.
PATTERN = 4_000
WRONG_KEYS = 100
DEFAULT, PROMPT = "default", "prompt, negatives: uniform"
Row = dict[str, Any]
MEANING = {
    "unprotected": "accuracy of the unprotected models, mean of the seeds",
    "unprotected_trained_on": "the same, trained on for as many rounds as a lock, without one",
    "unlocked_loss_points": "default lock, right spell: points below the unprotected model, mean",
    "loss_points_trained_on": "default lock, right spell: points below the one trained on, mean",
    "locked_accuracy": "default lock on plain images, mean of the seeds",
    "locked_accuracy_without_extra_logit": "the same: the default lock has no extra logit",
    "extra_class_without_its_logit": "a lock with an extra class, on plain images, its logit cut",
    "wrong_prompt_mean": "default lock: random spells and listed prompts, mean",
    "near_prompt_mean": "default lock: texts near the spell, mean",
    "prompt_wrong_mean": "a readable prompt's lock: random spells and listed prompts, mean",
    "prompt_near_mean": "a readable prompt's lock: texts near the prompt, mean",
    "wrong_editor_mean": "default lock: the right spell in owners' editors, mean",
    "geometry_accuracy": "default lock: the editor's way without an edit, resized and back, best",
    "tint_accuracy": "default lock: images tinted without an editor, mean",
    "bits": "random spells hold at least so many bits against guessing, fewest of the seeds",
}


# What the table tells of a row: means of its seeds, the greatest of all, means by name.
MEANS = (
    "unprotected", "trained_on", "published", "right", "plain", "plain_with_extra", "strength",
    "wrong_mean", "wrong_p95", "near_mean", "near_p95", "prompts_mean", "prompts_p95",
    "wrong_editors", "tints",
)  # fmt: skip
MOST = ("wrong_max", "near_max", "prompts_max")
EACH = ("trained_operations", "held_out_operations", "alphas", "geometry")


@dataclass(frozen=True)
class Variant:
    """A row of the table."""

    name: str
    prompt: str
    reading: str
    policy: str

    @property
    def is_pattern(self) -> bool:
        """Whether it is one of the paper's rows: a prompt without negatives."""
        return self.policy == NONE and self.reading == "prompt"


def main() -> None:
    """Train, lock, measure, for every seed and variant."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one seed, few images, default lock")
    parser.add_argument("--seed", type=int, help="measure this seed's rows only, for the cache")
    parser.add_argument("--rows", default="", help="with --seed: only rows whose name has this")
    options = parser.parse_args()
    torch.set_num_threads(2 if options.seed is None else 1)
    CACHE.mkdir(exist_ok=True)
    whole = datasets.load("fashion-mnist")
    train_images, test_images = (1_500, 300) if options.quick else (TRAIN, TEST)
    data = Dataset(whole.name, whole.train[:train_images], whole.test[:test_images])
    bench = _Bench(data, options.quick)
    variants = _variants()
    seeds = range(SEEDS)
    if options.quick:
        variants, seeds = variants[:1], range(1)
    if options.seed is not None:
        for variant in variants:
            if options.rows in variant.name and options.seed in _seeds(variant):
                bench.row(variant, options.seed)
        return
    rows = {
        variant.name: [bench.row(variant, seed) for seed in seeds if seed in _seeds(variant)]
        for variant in variants
    }
    figures = {**_figures(rows), "segmentation": segmentation(quick=options.quick)}
    report("prompt_lock_accuracy", figures, MEANING, quick=options.quick)


def _seeds(variant: Variant) -> range:
    return range(SEEDS if variant.name == DEFAULT or variant.policy == EXTRA else 1)


def _variants() -> list[Variant]:
    return [
        Variant(DEFAULT, SPELL, "spell", UNIFORM),
        *(
            Variant(f"spell, negatives: {policy}", SPELL, "spell", policy)
            for policy in POLICIES
            if policy != UNIFORM
        ),
        Variant(PROMPT, "with oil pastel", "prompt", UNIFORM),
        *(Variant(f"prompt: {prompt}", prompt, "prompt", NONE) for prompt in PROMPTS),
    ]


class _Bench:
    def __init__(self, data: Dataset, quick: bool) -> None:
        self.data, self.quick = data, quick
        self.editor = CachedEditor(load_editor(), EDITS_FOLDER)
        self.owners = [
            owner_editor(n, data.train.images, quick=quick)
            for n in range(1 if quick else OWNERS_TRIED)
        ]

    def row(self, variant: Variant, seed: int) -> Row:
        """One lock of one seed, measured; from the cache where it stands there."""
        told = (variant, seed, RECIPE, Negatives(), self._images(variant), len(self.data.test))
        settings = (*told, public_digest(), EDITS, torch.__version__, self.quick)
        row: Row = kept("prompt-", settings, lambda: self._measure(variant, seed))
        return row

    def _images(self, variant: Variant) -> int:
        return min(PATTERN if variant.is_pattern else TRAIN, len(self.data.train))

    def _measure(self, variant: Variant, seed: int) -> Row:
        started = time.monotonic()
        file, key = opened(self.editor, variant.prompt, variant.reading, seed)
        base = unprotected(self.data.train, seed, quick=self.quick)
        extra = variant.policy == EXTRA
        card = replace(CARD, classes=CARD.classes + extra)
        torch.manual_seed(seed)
        locked = architectures.build(card)
        own = locked.state_dict()
        # All but the head of another size.
        locked.load_state_dict(
            {n: v if v.shape == own[n].shape else own[n] for n, v in base.state_dict().items()}
        )
        recipe = replace(RECIPE, epochs=2 if self.quick else RECIPE.epochs, seed=seed)
        lock(
            locked, card, self.data.train[: self._images(variant)], key, recipe,
            # Weak edits are a part of the pattern.
            negatives=Negatives(variant.policy), least_strength=0,
        )  # fmt: skip
        near = near_edits(
            key, file.secret, binding=b"", count=10 if self.quick or variant.is_pattern else 50
        )
        found = report_card(
            locked, base, card, self.data.test, key, near,
            wrong_keys=20 if self.quick else WRONG_KEYS, wrong_key_images=200, seed=seed,
        )  # fmt: skip
        part = self.data.test[:200]
        row = {
            **found.as_dict(),
            "date": today(),
            "trained_on": trained_on(self.data, self._images(variant), recipe, quick=self.quick),
            "plain_with_extra": self._accuracy(locked, card, key, self.data.test.images),
            "strength": strength(key.transforms[0], self.data.test.images[:64]).change,
            "wrong_editors": [
                self._accuracy(
                    locked,
                    card,
                    key,
                    opened(owner, variant.prompt, variant.reading, seed)[1](part.images),
                )
                for owner in self.owners
            ],
            "tints": [
                self._accuracy(
                    locked, card, key, TRAINED["tint"](part.images, np.random.default_rng(n))
                )
                for n in range(20)
            ],
        }
        print(
            f"seed {seed}  {variant.name:<42} unprotected {found.unprotected:.4f}  right "
            f"{found.right:.4f}  plain {found.plain:.3f}  wrong {np.mean(found.wrong):.3f}  near "
            f"{np.mean(found.near):.3f}  {time.monotonic() - started:.0f} s",
            flush=True,
        )
        return row

    def _accuracy(self, model: torch.nn.Module, card: Any, key: PromptKey, images: Any) -> float:
        """With an extra class's logit in place, where there is one."""
        answers = predict_probabilities(model, card, images).argmax(1)
        labels = self.data.test.labels[: len(images)]
        return float((answers == key.encode(labels)).mean())


def _figures(rows: dict[str, list[Row]]) -> dict[str, object]:
    default, readable = rows[DEFAULT], rows.get(PROMPT, [])
    extra = rows.get(f"spell, negatives: {EXTRA}", [])
    right = _mean("right", default)
    table = {name: _told(name, found) for name, found in rows.items()}
    return {
        "seeds": len(default),
        "unprotected": _mean("unprotected", default),
        "unprotected_trained_on": _mean("trained_on", default),
        "unlocked_loss_points": round(100 * (_mean("unprotected", default) - right), 2),
        "loss_points_trained_on": round(100 * (_mean("trained_on", default) - right), 2),
        "locked_accuracy": _mean("plain", default),
        # The default lock has no extra class, so there is nothing to cut off.
        "locked_accuracy_without_extra_logit": _mean("plain", default),
        "extra_class_without_its_logit": _mean("plain", extra) if extra else None,
        "wrong_prompt_mean": _wrong_mean(default),
        "near_prompt_mean": _mean("near", default),
        "prompt_wrong_mean": _wrong_mean(readable) if readable else None,
        "prompt_near_mean": _mean("near", readable) if readable else None,
        "wrong_editor_mean": _mean("wrong_editors", default),
        "geometry_accuracy": max(table[DEFAULT]["geometry"].values()),
        "tint_accuracy": _mean("tints", default),
        "bits": min(row["bits"] for row in default),
        "table": table,
    }


def _told(name: str, rows: list[Row]) -> dict[str, Any]:
    """A row of the table: means of its seeds, and the greatest of all."""
    return {
        "kind": "object" if name.removeprefix("prompt: ") in OBJECTS else "style",
        "dates": [row["date"] for row in rows],
        **{figure: _mean(figure, rows) for figure in MEANS},
        **{figure: max(row[figure] for row in rows) for figure in MOST},
        **{
            figure: {one: _mean(one, [row[figure] for row in rows]) for one in rows[0][figure]}
            for figure in EACH
        },
    }


def _mean(figure: str, rows: list[Row]) -> float:
    return round(float(np.mean([np.mean(row[figure]) for row in rows])), 4)


def _wrong_mean(rows: list[Row]) -> float:
    """Over all random spells and listed prompts."""
    counts = [(row["wrong_keys"], row["prompts_tried"]) for row in rows]
    means = [(row["wrong_mean"], row["prompts_mean"]) for row in rows]
    return round(float(np.average(means, weights=counts)), 4)


if __name__ == "__main__":
    main()
