"""What prompt locks cost and withhold on segmenters: mean IoU with and without the spell.

Fashion-MNIST's garments on textured canvases, in four groups: small networks tell the ten kinds of
garment apart too badly for a lock to withhold much. Every lock is made from the unprotected model
of its seed. The default lock is measured on every seed; the other rows tell a pattern, on one seed
and after half the training. Rows that were measured before, with the same settings, are taken from
benchmarks/cache; `--seed` fills it, so that seeds can be measured side by side.
"""

import argparse
import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from kept import CACHE, EDITS, EDITS_FOLDER, kept
from owner_editors import owner_editor
from result import report, today

from spellmark.locks.prompt_lock.cached_editor import CachedEditor
from spellmark.locks.prompt_lock.editors import Editor, load_editor
from spellmark.locks.prompt_lock.image_operations import TRAINED
from spellmark.locks.prompt_lock.parameters import PROMPT, SCHEME, SPELL, PromptLockParameters
from spellmark.locks.prompt_lock.policies import EXTRA, NONE, UNIFORM
from spellmark.locks.prompt_lock.prompt_key import PromptKey
from spellmark.locks.prompt_lock.public_editor import public_digest
from spellmark.locks.prompt_lock.report_card import near_edits
from spellmark.locks.prompt_lock.segmentation import (
    NEGATIVES,
    RECIPE,
    lock_segmenter,
    segmentation_card,
)
from spellmark.model_files.card import ModelCard
from spellmark.secrets import KeyFile
from spellmark.training import datasets
from spellmark.training.canvases import compose
from spellmark.training.fit import fit
from spellmark.training.segmentation import mean_iou, predict_masks
from spellmark.training.small_nets import SmallUNet

# Tops, trousers, footwear, bags; 0 is the background.
GROUPS = (1, 2, 1, 1, 1, 3, 1, 3, 4, 3)
SEEDS, OWNERS_TRIED, TINTS = 3, 1, 20
STYLE, OBJECT = "with oil pastel", "add a moon to the background"
WORDS = "open sesame"
Row = dict[str, Any]
MEANING = {
    "unprotected": "mean IoU of the unprotected models, mean of the seeds",
    "unprotected_trained_on": "the same, trained on for as many rounds as a lock, without one",
    "right": "default lock, right spell: mean IoU, mean of the seeds",
    "unlocked_loss_points": "right: points below the unprotected model, mean",
    "loss_points_trained_on": "right: points below the one trained on, mean",
    "plain": "default lock on plain images, mean of the seeds",
    "geometry": "the same by the way of the editor without an edit, resized and back, the best",
    "wrong_mean": "default lock: random spells, mean",
    "wrong_max": "default lock: random spells, the best of all seeds",
    "near_mean": "default lock: texts near the spell, mean",
    "wrong_editor_mean": "default lock: the right spell in owners' editors, mean",
    "tint": "default lock: images tinted without an editor, mean",
    "published": "unprotected model on edited images: what the edit hides by itself, mean",
    "bits": "random spells hold at least so many bits against guessing, fewest of the seeds",
}
CARD = ModelCard(
    architecture="small-unet", classes=max(GROUPS) + 1, channels=1, height=28, width=28,
    mean=(0.45,), std=(0.3,),
)  # fmt: skip


@dataclass(frozen=True)
class Size:
    """How much is composed, trained and tried."""

    train: int = 6000
    test: int = 500
    unprotected_epochs: int = 8
    lock_epochs: int = RECIPE.epochs
    wrong_keys: int = 100
    # For all rows but the default one.
    fewer_epochs: int = RECIPE.epochs // 2
    fewer_wrong_keys: int = 30
    near: int = 30
    images: int = 100
    width: int = 24
    owners: int = OWNERS_TRIED


QUICK = Size(
    train=1000, test=100, unprotected_epochs=8, lock_epochs=8, wrong_keys=10, fewer_wrong_keys=5,
    near=5, images=30, width=12, owners=1,
)  # fmt: skip


@dataclass(frozen=True)
class Variant:
    """A row of the table. kind: of the prompt, `spell`, `style` or `object`."""

    name: str
    kind: str
    prompt: str
    policy: str

    @property
    def reading(self) -> str:
        """How the key file's text is read."""
        return SPELL if self.kind == "spell" else PROMPT


DEFAULT = Variant("default", "spell", WORDS, UNIFORM)
VARIANTS = (
    DEFAULT,
    Variant("spell, negatives: none", "spell", WORDS, NONE),
    *(Variant(f"{kind}: {prompt}, negatives: {policy}", kind, prompt, policy)
      for kind, prompt in (("style", STYLE), ("object", OBJECT)) for policy in (UNIFORM, NONE)),
)  # fmt: skip


def main() -> None:
    """Train, lock, measure, for every seed and variant."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one seed, few images, default lock")
    parser.add_argument("--seed", type=int, help="measure this seed's rows only, for the cache")
    parser.add_argument("--rows", default="", help="with --seed: only rows whose name has this")
    parser.add_argument("--threads", type=int, default=2, help="fewer on a busy machine")
    options = parser.parse_args()
    if options.seed is not None:
        torch.set_num_threads(1)
        bench = _Bench(Size())
        for variant in VARIANTS:
            if options.rows in variant.name and options.seed in _seeds(variant):
                bench.row(variant, options.seed)
        return
    figures = segmentation(quick=options.quick, threads=options.threads)
    report("prompt_lock_segmentation", figures, MEANING, quick=options.quick)


def segmentation(*, quick: bool = False, threads: int = 2) -> dict[str, object]:
    """All figures, mean IoUs in [0, 1], with the table of the rows under `table`."""
    torch.set_num_threads(threads)
    bench = _Bench(QUICK if quick else Size())
    if quick:
        return _figures({DEFAULT.name: [bench.row(DEFAULT, 0)]})
    return _figures(
        {
            variant.name: [bench.row(variant, seed) for seed in _seeds(variant)]
            for variant in VARIANTS
        }
    )


def _seeds(variant: Variant) -> range:
    """The default lock is measured on every seed; the others tell a pattern, which one shows."""
    return range(SEEDS if variant == DEFAULT else 1)


class _Bench:
    def __init__(self, size: Size) -> None:
        CACHE.mkdir(exist_ok=True)
        self.size = size
        items = datasets.load("fashion-mnist")
        # The recipe was chosen on canvases 1: what is reported comes from canvases never looked at.
        self.train, self.test = (
            compose(part, count, np.random.default_rng(number), classes=GROUPS)
            for number, part, count in ((0, items.train, size.train), (2, items.test, size.test))
        )
        self.editor = CachedEditor(load_editor(), EDITS_FOLDER)
        self.photos = items.train.images[: 1500 if size == QUICK else 12_000]

    def row(self, variant: Variant, seed: int) -> Row:
        """One lock of one seed, measured; from the cache where it stands there."""
        settings = (variant, seed, RECIPE, NEGATIVES, self.size, GROUPS, public_digest(), EDITS)
        row: Row = kept(
            "segmentation-", (settings, torch.__version__), lambda: self._measure(variant, seed)
        )
        return row

    def _measure(self, variant: Variant, seed: int) -> Row:
        started, size = time.monotonic(), self.size
        epochs = size.lock_epochs if variant == DEFAULT else size.fewer_epochs
        file, key = _opened(self.editor, variant, seed)
        unprotected = self._unprotected(seed)
        card = replace(CARD, classes=CARD.classes + (variant.policy == EXTRA))
        locked = self._copy(unprotected, card, seed)
        lock_segmenter(
            locked, card, self.train, key, replace(RECIPE, epochs=epochs, seed=seed),
            negatives=replace(NEGATIVES, policy=variant.policy), teacher=unprotected,
            # What an object moves is a part of the pattern.
            least_strength=0,
        )  # fmt: skip
        found = segmentation_card(
            locked, unprotected, card, self.test, key,
            near_edits(key, file.secret, binding=b"", count=size.near),
            wrong_keys=size.wrong_keys if variant == DEFAULT else size.fewer_wrong_keys,
            wrong_key_images=size.images, seed=seed,
        )  # fmt: skip
        part = self.test[: size.images]

        def reached(images: np.ndarray, masks: np.ndarray = part.masks) -> float:
            """With the owner's label permutation, over the real classes."""
            answers = predict_masks(locked, card, images, key.classes)
            return mean_iou(key.decode(answers), masks, key.classes)

        owners = [
            owner_editor(n, self.photos, quick=size == QUICK)
            for n in range(size.owners if variant.policy == UNIFORM else 0)
        ]
        row = {
            **found.as_dict(),
            "date": today(),
            "epochs": epochs,
            "trained_on": self._trained_on(seed, epochs),
            "wrong_editors": [
                reached(_opened(owner, variant, seed)[1](part.images)) for owner in owners
            ],
            "tints": [
                reached(TRAINED["tint"](part.images, np.random.default_rng(n)))
                for n in range(TINTS)
            ],
        }
        print(
            f"seed {seed}  {variant.name:<50} unprotected {found.unprotected:.4f}  right "
            f"{found.right:.4f}  plain {found.plain:.3f}  wrong {np.mean(found.wrong):.3f}  near "
            f"{np.mean(found.near):.3f}  {time.monotonic() - started:.0f} s",
            flush=True,
        )
        return row

    def _unprotected(self, seed: int) -> torch.nn.Module:
        size = self.size
        torch.manual_seed(seed)
        model = SmallUNet(CARD.channels, CARD.classes, size.width)
        told = f"{size.train}-{size.width}-{size.unprotected_epochs}-{seed}"
        path = CACHE / f"segmentation-unprotected-{told}.pt"
        if path.exists():
            model.load_state_dict(torch.load(path, weights_only=True))
            return model.eval()
        fit(model, CARD, self.train, replace(RECIPE, epochs=size.unprotected_epochs, seed=seed))
        torch.save(model.state_dict(), path)
        return model

    def _trained_on(self, seed: int, epochs: int) -> float:
        """The unprotected model, trained on plainly for as long as a lock is."""

        def measured() -> float:
            model = self._unprotected(seed)
            fit(model, CARD, self.train, replace(RECIPE, epochs=epochs, seed=seed))
            answers = predict_masks(model, CARD, self.test.images)
            return mean_iou(answers, self.test.masks, CARD.classes)

        settings = (seed, epochs, RECIPE, self.size, GROUPS, torch.__version__)
        return float(kept("segmentation-trained-on-", settings, measured))

    def _copy(self, model: torch.nn.Module, card: ModelCard, seed: int) -> torch.nn.Module:
        """All but a head of another size."""
        torch.manual_seed(seed)
        copy = SmallUNet(card.channels, card.classes, self.size.width)
        own = copy.state_dict()
        copy.load_state_dict(
            {n: v if v.shape == own[n].shape else own[n] for n, v in model.state_dict().items()}
        )
        return copy


def _opened(editor: Editor, variant: Variant, seed: int) -> tuple[KeyFile, PromptKey]:
    parameters = PromptLockParameters(editor=editor.digest, reading=variant.reading)
    secret = seed.to_bytes(32, "big")
    file = KeyFile(SCHEME, parameters.as_dict(), secret, bytes(32), variant.prompt)
    return file, PromptKey.open(file, editor=editor, binding=b"", classes=CARD.classes)


def _figures(rows: dict[str, list[Row]]) -> dict[str, object]:
    default = rows[DEFAULT.name]
    table = {
        variant.name: {
            "kind": variant.kind,
            "negatives": variant.policy,
            "seeds": len(rows[variant.name]),
            "dates": [row["date"] for row in rows[variant.name]],
            "epochs": rows[variant.name][0]["epochs"],
            **_means(rows[variant.name]),
        }
        for variant in VARIANTS
        if variant.name in rows
    }
    return {
        "seeds": len(default),
        **_means(default),
        "bits": min(row["bits"] for row in default),
        "table": table,
    }


def _means(rows: list[Row]) -> dict[str, Any]:
    """Means over the seeds; none where a row was not tried on something."""

    def mean(name: str) -> float | None:
        values = np.concatenate([np.atleast_1d(row[name]) for row in rows])
        return round(float(values.mean()), 4) if len(values) else None

    def loss(since: str) -> float:
        return round(100 * float(np.mean([row[since] - row["right"] for row in rows])), 2)

    def by_name(figure: str) -> dict[str, float]:
        names = rows[0][figure]
        return {n: round(float(np.mean([row[figure][n] for row in rows])), 4) for n in names}

    return {
        "unprotected": mean("unprotected"),
        "unprotected_trained_on": mean("trained_on"),
        "right": mean("right"),
        "unlocked_loss_points": loss("unprotected"),
        "loss_points_trained_on": loss("trained_on"),
        "plain": mean("plain"),
        "geometry": max(by_name("geometry").values()),
        "wrong_mean": mean("wrong"),
        "wrong_p95": mean("wrong_p95"),
        "wrong_max": max(row["wrong_max"] for row in rows),
        "near_mean": mean("near"),
        "near_p95": mean("near_p95"),
        "near_max": max(row["near_max"] for row in rows),
        "prompts_mean": mean("prompts_mean"),
        "prompts_p95": mean("prompts_p95"),
        "prompts_max": max(row["prompts_max"] for row in rows),
        **{name: by_name(name) for name in ("trained_operations", "held_out_operations", "alphas")},
        "wrong_editor_mean": mean("wrong_editors"),
        "tint": mean("tints"),
        "published": mean("published"),
    }


if __name__ == "__main__":
    main()
