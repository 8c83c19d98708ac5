"""How often the random-key test of a key lock accuses an innocent: models × keys, by family.

Three kinds of innocents: trained on the owner's own data, trained on other data, and locked by
somebody else under another key. Every p-value comes from answers that the model really gave.
"""

import argparse
import secrets
from collections.abc import Iterator

import numpy as np
import torch
from result import report

from spellmark.evidence.keyed_probes import choose_probes, hide
from spellmark.evidence.random_key_test import random_key_test
from spellmark.locks.key_lock.lock import lock
from spellmark.locks.key_lock.transforms import Geometry, Shuffle
from spellmark.model_files.card import ModelCard
from spellmark.training import architectures, datasets
from spellmark.training.datasets import Dataset, Split
from spellmark.training.fit import Recipe, fit
from spellmark.training.inference import predict_probabilities

GEOMETRY = Geometry(1, 28, 28, 14)
CARD = ModelCard(
    architecture="small-cnn", classes=10, channels=1, height=28, width=28,
    mean=(0.286,), std=(0.353,),
)  # fmt: skip
ALPHAS = (0.01, 0.05, 0.2)
MEANING = {
    "models": "innocent models, a third of each family",
    "p_values": "models × keys",
    "null_rate_at_0.01": "share of p-values at or below 0.01; it should be at most that",
    "null_rate_at_0.05": "the same for 0.05",
    "null_rate_at_0.2": "the same for 0.2",
    "worst_model_at_0.05": "the same for 0.05, for the model with the highest share",
    "smallest_p": "the smallest of all",
}


def main() -> None:
    """Train the innocents, try many keys on each, count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer models and keys")
    options = parser.parse_args()
    each, keys, decoys, probes = (1, 20, 99, 20) if options.quick else (4, 40, 199, 32)
    torch.set_num_threads(2)
    data = datasets.load("fashion-mnist")
    table: dict[str, list[list[float]]] = {}
    for family, number, model in _innocents(data, each, epochs=1 if options.quick else 3):
        p_values = [_p_value(model, data.test, decoys, probes) for _ in range(keys)]
        table.setdefault(family, []).append(p_values)
        print(f"{family} {number}: smallest p {min(p_values):.3f}", flush=True)
    flat = np.asarray([p for family in table.values() for model in family for p in model])
    by_model = [np.asarray(model) for family in table.values() for model in family]
    report(
        "random_key_null",
        {
            "models": len(by_model),
            "p_values": len(flat),
            **{f"null_rate_at_{alpha:g}": _rate(flat, alpha) for alpha in ALPHAS},
            "worst_model_at_0.05": max(_rate(model, 0.05) for model in by_model),
            "smallest_p": round(float(flat.min()), 4),
            "table": {
                family: {f"{a:g}": _rate(np.asarray(models), a) for a in ALPHAS}
                for family, models in table.items()
            },
        },
        MEANING,
    )


def _innocents(data: Dataset, each: int, epochs: int) -> Iterator[tuple[str, int, torch.nn.Module]]:
    own, other = data.train[:4000], data.train[4000:12_000]
    for number in range(each):
        yield "same data", number, _trained(own, seed=number, epochs=epochs)
        yield "other data", number, _trained(other, seed=100 + number, epochs=epochs)
        model = _trained(other, seed=200 + number, epochs=epochs)
        another = Shuffle.from_key(secrets.token_bytes(32), GEOMETRY)
        lock(model, CARD, other[:3000], another, Recipe(epochs=epochs))
        yield "locked under another key", number, model


def _trained(part: Split, *, seed: int, epochs: int) -> torch.nn.Module:
    torch.manual_seed(seed)
    recipe = Recipe(epochs=epochs, learning_rate=3e-3, seed=seed)
    return fit(architectures.build(CARD), CARD, part, recipe)


def _p_value(model: torch.nn.Module, test: Split, decoys: int, probes: int) -> float:
    """One owner's whole run, with a fresh key and a fresh seed."""
    seed = secrets.token_bytes(32)
    own = Shuffle.from_key(secrets.token_bytes(32), GEOMETRY)
    slots = hide(own, seed=seed, decoys=decoys, geometry=GEOMETRY)
    chosen = choose_probes(seed, available=len(test), wanted=probes)
    hits = np.zeros(decoys + 1, int)
    for image, label in zip(test.images[chosen], test.labels[chosen], strict=True):
        answers = predict_probabilities(model, CARD, slots.images(image)).argmax(1)
        hits += answers == label
    return random_key_test(hits.tolist(), slots.true).p_value


def _rate(p_values: np.ndarray, alpha: float) -> float:
    return round(float((p_values <= alpha).mean()), 4)


if __name__ == "__main__":
    main()
