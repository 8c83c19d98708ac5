"""What an external feature tells of copies and of innocents: one owner, one key, one seed.

A small residual network of Fashion-MNIST learns a secret style. It is then fine-tuned, pruned by
60 % and fine-tuned, and extracted by its probabilities. The scores of these copies stand
beside those of innocent models of every kind, by answers, by labels alone and by gradients, and all
of it again under wrong styles. Trained networks are kept in an ignored folder.
"""

import argparse
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import numpy as np
import torch
from kept import CACHE
from result import report

from spellmark.attacks.extract.removals import fine_tuned
from spellmark.attacks.extract.training import Trainer
from spellmark.attacks.prune import prune_and_tune
from spellmark.evidence.answer_access import Access
from spellmark.evidence.null_pool import KINDS, OTHER_DATA, SAME_ARCHITECTURE, threshold_of
from spellmark.model_files.card import ModelCard
from spellmark.secrets import KeyFile
from spellmark.training import datasets, weights
from spellmark.training.architectures import fresh
from spellmark.training.fit import Recipe, fit
from spellmark.training.inference import accuracy, predict_probabilities
from spellmark.watermarks.external_feature import SCHEME, Style, recommended
from spellmark.watermarks.external_feature.embed import RECIPE, embed
from spellmark.watermarks.external_feature.examine import (
    gradient_score,
    gradient_signs,
    style_scores,
)

CARD = ModelCard(architecture="small-resnet", classes=10, channels=1, height=28, width=28)
OTHERS = (
    ("small-resnet", {"width": 12}),
    ("small-cnn", {"width": 16}),
    ("small-mlp", {"width": 256}),
)
KEY = KeyFile(SCHEME, recommended(10, 1, 28, 28).as_dict(), bytes([3]) * 32, bytes(32))
SHARE, WRONG_STYLES = 20, 4
WINDOWS = {"probabilities": Access("all"), "labels": Access("labels")}
MEANING = {
    "innocents": "models that never met the style, three kinds in turn",
    "accuracy_before": "of the owner's model, on 2,000 test images",
    "accuracy_after": "of the same with the feature",
    "threshold": "of all innocents, by probabilities, in nats",
    "innocent_highest": "the closest innocent",
    "owner": "the owner's model with the feature",
    "finetune": "copy, all layers trained on 3,000 other images",
    "prune60": "copy, 60 % of the weights gone, then trained so",
    "extract": "copy, made from its probabilities for plain images",
    "left_out_accused": "innocents above the threshold of all the others",
    "kept_from_match": "of the three copies that are seen, in four wrong styles each: those that "
    "lie half as far above the threshold there, so that a run would not decide",
}


def main() -> None:
    """Train what is not trained yet, score all of it, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="600 images, two rounds: a smoke test")
    options = parser.parse_args()
    torch.set_num_threads(1)
    bench = Bench(600, 2) if options.quick else Bench(3000, 6)
    suspects, innocents = bench.copies(), bench.innocents()
    style = bench.style
    styles = [style] + [
        Style.control(style.parameters, bytes([number]) * 32) for number in range(WRONG_STYLES)
    ]
    probes = bench.data.test[: 40 if options.quick else 100]
    table = [
        bench.scored(probes, shown, suspects, innocents, number)
        for number, shown in enumerate(styles)
    ]
    true, wrong = table[0]["probabilities"], [row["probabilities"] for row in table[1:]]
    figures: dict[str, Any] = {
        "innocents": len(innocents),
        "accuracy_before": bench.right(bench.owner()),
        "accuracy_after": bench.right(suspects["owner"]),
        "threshold": true["threshold"],
        "innocent_highest": true["innocent_highest"],
        **{name: true[name] for name in suspects},
        "left_out_accused": true["left_out_accused"],
        "kept_from_match": sum(
            2 * (row[name] - row["threshold"]) >= max(0, true[name] - true["threshold"])
            for row in wrong
            for name in ("owner", "finetune", "prune60")
        ),
        "table": table,
    }  # fmt: skip
    report("external_feature", figures, MEANING, quick=options.quick)


Model = tuple[torch.nn.Module, ModelCard]


class Bench:
    """Networks that are trained once, by the number of images and rounds."""

    def __init__(self, images: int, epochs: int) -> None:
        self.data = datasets.load("fashion-mnist")
        self.images, self.epochs = images, epochs
        self.style = Style.open(KEY, owner="o", binding=b"b" * 32)
        self.train = self.data.train[:images]
        self.folder = CACHE / f"external_feature-{images}-{epochs}"
        self.folder.mkdir(parents=True, exist_ok=True)

    def kept(self, name: str, card: ModelCard, make: Callable[[], torch.nn.Module]) -> Model:
        """The network of this name, trained now or in an earlier run."""
        path = self.folder / f"{name}.safetensors"
        if not path.exists():
            weights.save(make(), card, path)
        return weights.load(path)

    def owner(self) -> Model:
        """The owner's model as it was before."""
        recipe = Recipe(epochs=self.epochs, seed=1)
        return self.kept("owner", CARD, lambda: fit(fresh(CARD, 1), CARD, self.train, recipe))

    def copies(self) -> dict[str, Model]:
        """The owner's model with the feature, and what thieves make of it."""
        rounds = min(8, self.epochs + 2)
        recipe = replace(RECIPE, epochs=rounds)
        owner = self.kept("marked", CARD, lambda: embed(
            self.owner()[0], CARD, self.train, self.style, share=SHARE, recipe=recipe,
        ))  # fmt: skip
        mine = self.data.train[2 * self.images : 3 * self.images]
        told = predict_probabilities(*owner, mine.images)
        known = {"epochs": min(5, self.epochs), "seed": 5}
        train = Trainer(CARD, self.epochs, 0, 7)
        return {
            "owner": owner,
            "finetune": self.kept("ft", CARD, lambda: fine_tuned(owner[0], CARD, mine, **known)),
            "prune60": self.kept(
                "pr", CARD, lambda: prune_and_tune(owner[0], CARD, mine, share=0.6, **known)
            ),
            "extract": self.kept("ext", CARD, lambda: train(mine.images, told)),
        }

    def innocents(self) -> list[tuple[str, Model]]:
        """Models that never met the style, by their kinds: of every kind three."""
        found = []
        for number in range(9):
            turn, place = divmod(number, len(KINDS))
            kind, seed = KINDS[place], 100 + number
            alike = kind == SAME_ARCHITECTURE or (kind == OTHER_DATA and turn % 2 == 0)
            name, config = (CARD.architecture, {}) if alike else OTHERS[turn]
            card = replace(CARD, architecture=name, config=config)
            other = self.data.train[self.images : 2 * self.images]
            part, recipe = (
                other if kind == OTHER_DATA else self.train,
                Recipe(epochs=self.epochs, seed=seed),
            )

            def make(card: ModelCard = card, part: Any = part, recipe: Recipe = recipe) -> Any:
                return fit(fresh(card, recipe.seed), card, part, recipe)

            found.append((kind, self.kept(f"innocent-{number}", card, make)))
        return found

    def right(self, model: Model) -> float:
        """Accuracy on all test images."""
        return round(accuracy(*model, self.data.test.images, self.data.test.labels), 4)

    def scored(
        self,
        probes: datasets.Split,
        style: Style,
        suspects: dict[str, Model],
        innocents: list[tuple[str, Model]],
        number: int,
    ) -> dict[str, Any]:
        """All scores under one style, by what a suspect shows; the owner's is number 0."""
        models = [*suspects.values(), *(model for _, model in innocents)]
        styled = style(probes.images)
        plain = [np.round(predict_probabilities(*model, probes.images), 6) for model in models]
        shown = [np.round(predict_probabilities(*model, styled), 6) for model in models]
        signs = [gradient_signs(*model, styled, probes.labels) for model in models]
        found = {
            name: style_scores(probes.labels, plain, shown, access)
            for name, access in WINDOWS.items()
        }
        found["gradients"] = [gradient_score(signs[0], one) for one in signs]
        kinds = [kind for kind, _ in innocents]
        row: dict[str, Any] = {"style": "wrong" if number else "owner's"}
        for name, scores in found.items():
            row[name] = _summary(list(suspects), scores, kinds)
            told = ", ".join(f"{key} {value}" for key, value in row[name].items())
            print(f"{row['style']:<8} {name:<13} {told}")
        return row


def _summary(names: list[str], scores: list[float], kinds: list[str]) -> dict[str, Any]:
    own, innocent = scores[: len(names)], scores[len(names) :]
    pairs = list(zip(kinds, innocent, strict=True))
    accused = sum(
        score > threshold_of(pairs[:place] + pairs[place + 1 :], 1.0)
        for place, score in enumerate(innocent)
    )
    return {
        **{name: round(score, 3) for name, score in zip(names, own, strict=True)},
        "innocent_highest": round(max(innocent), 3),
        "innocent_median": round(float(np.median(innocent)), 3),
        "threshold": round(threshold_of(pairs, 1.0), 3),
        "left_out_accused": accused,
    }


if __name__ == "__main__":
    main()
