"""How often a key lock's tests accuse an innocent: models × keys, by family.

Both tests are tried: keyed labels (exact, no decoys) and the true key ranked among decoy keys.
Three kinds of innocents: trained on the owner's own data, trained on other data, and locked by
somebody else under another key. Every p-value comes from answers that the model really gave.
"""

import argparse
import secrets
from collections.abc import Iterator

import numpy as np
import torch
from kept import kept
from result import report

from spellmark.evidence.draws import choose_probes
from spellmark.evidence.keyed_label_test import keyed_label_test
from spellmark.evidence.keyed_probes import hide
from spellmark.evidence.random_key_test import random_key_test
from spellmark.locks.key_lock.lock import lock
from spellmark.locks.key_lock.lock_key import LockKey
from spellmark.locks.key_lock.parameters import default_parameters
from spellmark.model_files.card import ModelCard
from spellmark.training import architectures, datasets
from spellmark.training.datasets import Dataset, Split
from spellmark.training.fit import Recipe, fit
from spellmark.training.inference import predict_labels

CARD = ModelCard(
    architecture="small-cnn", classes=10, channels=1, height=28, width=28,
    mean=(0.286,), std=(0.353,),
)  # fmt: skip
LOCK = default_parameters(CARD.height, CARD.width, CARD.channels, CARD.classes)
ALPHAS = (0.01, 0.05, 0.2)
MEANING = {
    "models": "innocent models, a third of each family",
    "p_values": "models × keys",
    "null_rate_at_0.01": "share of p-values at or below 0.01; it should be at most that",
    "null_rate_at_0.05": "the same for 0.05",
    "null_rate_at_0.2": "the same for 0.2",
    "worst_model_at_0.05": "the same for 0.05, for the model with the highest share",
    "smallest_p": "the smallest of all",
    "keyed_label_null_rate_at_0.01": "the same shares for keyed labels, with many more keys",
    "keyed_label_null_rate_at_0.05": "the same for 0.05",
    "keyed_label_null_rate_at_0.2": "the same for 0.2",
    "keyed_label_p_values": "models × keys",
}
KEYED_KEYS = 200


def main() -> None:
    """Train the innocents, try many keys on each, count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer models and keys")
    options = parser.parse_args()
    torch.set_num_threads(2)
    data = datasets.load("fashion-mnist")
    keyed = keyed_label_p_values(data, quick=options.quick)
    table = _ranked_p_values(data, quick=options.quick)
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
            **{
                f"keyed_label_null_rate_at_{alpha:g}": _rate(np.asarray(keyed), alpha)
                for alpha in ALPHAS
            },
            "keyed_label_p_values": len(keyed),
            "table": {
                family: {f"{a:g}": _rate(np.asarray(models), a) for a in ALPHAS}
                for family, models in table.items()
            },
        },
        MEANING,
        quick=options.quick,
    )


def keyed_label_p_values(data: Dataset, *, quick: bool) -> list[float]:
    """Of all innocents, by keyed labels."""

    def measure() -> list[float]:
        models = _innocents(data, quick=quick)
        return [
            _keyed_label_p(model, data.test)
            for _, _, model in models
            for _ in range(50 if quick else KEYED_KEYS)
        ]

    found: list[float] = kept("innocents-keyed-", (CARD, LOCK, len(data.test), quick), measure)
    return found


def _ranked_p_values(data: Dataset, *, quick: bool) -> dict[str, list[list[float]]]:
    """By decoy keys: a list for each model of each family."""
    keys, decoys, probes = (20, 99, 20) if quick else (40, 199, 32)
    found: dict[str, list[list[float]]] = {}
    for family, number, model in _innocents(data, quick=quick):
        p_values = [_ranked_p(model, data.test, decoys, probes) for _ in range(keys)]
        found.setdefault(family, []).append(p_values)
        print(f"{family} {number}: smallest p {min(p_values):.3f}", flush=True)
    return found


def _innocents(data: Dataset, *, quick: bool) -> Iterator[tuple[str, int, torch.nn.Module]]:
    """Models that never saw the owner's lock: family, number, model."""
    each, epochs = (1, 1) if quick else (4, 3)
    size = 1000 if quick else 4000
    own, other = data.train[:size], data.train[size : 3 * size]
    for number in range(each):
        yield "same data", number, _trained(own, seed=number, epochs=epochs)
        yield "other data", number, _trained(other, seed=100 + number, epochs=epochs)
        model = _trained(other, seed=200 + number, epochs=epochs)
        lock(model, CARD, other[:3000], _fresh_key(), Recipe(epochs=epochs))
        yield "locked under another key", number, model


def _keyed_label_p(model: torch.nn.Module, test: Split, probes: int = 64) -> float:
    """One owner's whole run by keyed labels, with a fresh key and a fresh seed."""
    key = _fresh_key()
    part = _probes(secrets.token_bytes(32), test, probes)
    answers = [predict_labels(model, CARD, key(part.images, j)) for j in range(len(key.labels))]
    return keyed_label_test(part.labels, answers, key.labels).p_value


def _ranked_p(model: torch.nn.Module, test: Split, decoys: int, probes: int) -> float:
    """One owner's whole run by decoy keys, with a fresh key and a fresh seed."""
    seed = secrets.token_bytes(32)
    slots = hide(_fresh_key(), seed=seed, decoys=decoys)
    hits = np.zeros(decoys + 1, int)
    part = _probes(seed, test, probes)
    for image, label in zip(part.images, part.labels, strict=True):
        hits += predict_labels(model, CARD, slots.images(image)) == label
    assert slots.true is not None
    return random_key_test(hits.tolist(), slots.true).p_value


def _fresh_key() -> LockKey:
    return LockKey.derive(
        secrets.token_bytes(32),
        binding=b"",
        shape=(CARD.channels, CARD.height, CARD.width),
        classes=CARD.classes,
        parameters=LOCK,
    )


def _probes(seed: bytes, test: Split, wanted: int) -> Split:
    chosen = choose_probes(seed, test.labels.tolist(), wanted=wanted)
    return Split(test.images[chosen], test.labels[chosen])


def _trained(part: Split, *, seed: int, epochs: int) -> torch.nn.Module:
    torch.manual_seed(seed)
    recipe = Recipe(epochs=epochs, learning_rate=3e-3, seed=seed)
    return fit(architectures.build(CARD), CARD, part, recipe)


def _rate(p_values: np.ndarray, alpha: float) -> float:
    return round(float((p_values <= alpha).mean()), 4)


if __name__ == "__main__":
    main()
