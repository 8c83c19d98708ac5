"""What thieves reach against key locks: the whole suite on several variants.

Each lock is made as an owner would make it, on all training images; the thief has the locked
weights, the lock's parameters and a few images. The default and what could take its place are
attacked with full budgets, the others with quick ones. Beside the attacks stands the null rate of
keyed labels on innocent models (see random_key_null.py). Locks that were attacked before, with the
same settings, are taken from benchmarks/cache.
"""

import argparse
import time
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from attack_rows import attack_rows
from kept import CACHE, kept
from key_lock_accuracy import CARD, DEFAULT
from random_key_null import keyed_label_p_values
from result import report

from spellmark.attacks.key_lock.catalogue import BUDGETS
from spellmark.attacks.key_lock.suite import run_suite
from spellmark.locks.key_lock.lock import RECIPE, lock
from spellmark.locks.key_lock.lock_key import LockKey
from spellmark.locks.key_lock.negatives import Negatives
from spellmark.locks.key_lock.parameters import LockParameters
from spellmark.training import architectures, datasets
from spellmark.training.datasets import Dataset, Split
from spellmark.training.fit import Recipe, fit
from spellmark.training.inference import predict_labels

# What a thief may have of the owner's kind of data, from the end of the training images.
ATTACKER = 3000
# What a quick run tries: one attack of each kind.
QUICK = ("random-keys", "swaps-cross-entropy", "known-plaintext", "ciphertext-only")
MEANING = {
    "attacks": "for each lock and attack: the best accuracy reached, and what it cost",
    "keyed_label_null_rate_at_0.01": "innocents: share of exact p-values at or below 0.01",
    "keyed_label_p_values": "innocent models × keys",
}


def main() -> None:
    """Lock, attack, tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few images, small budgets")
    parser.add_argument("--variant", default="", help="only this one, for the cache")
    options = parser.parse_args()
    # Seconds are those of one core; variants can be run side by side for the cache.
    torch.set_num_threads(1)
    CACHE.mkdir(exist_ok=True)
    whole = datasets.load("fashion-mnist")
    thief = whole.train[len(whole.train) - ATTACKER :]
    owner = whole.train[: 2000 if options.quick else len(whole.train) - ATTACKER]
    data = Dataset(whole.name, owner, whole.test[:2000])
    variants = _variants()
    if options.quick or options.variant:
        wanted = options.variant or next(iter(variants))
        variants = {wanted: variants[wanted]}
    attacks = {
        name: kept(
            "attacks-",
            (CARD, *variant, len(data.train), RECIPE, BUDGETS, options.quick),
            partial(_attacked, name, data, thief, *variant, quick=options.quick),
        )
        for name, variant in variants.items()
    }
    if options.variant:
        return
    p_values = np.asarray(keyed_label_p_values(whole, quick=options.quick))
    report(
        "key_lock_attacks",
        {
            "attacks": attacks,
            "default": DEFAULT.as_dict(),
            "keyed_label_null_rate_at_0.01": round(float((p_values <= 0.01).mean()), 4),
            "keyed_label_p_values": len(p_values),
        },
        MEANING,
        quick=options.quick,
    )


def _base(data: Dataset, *, quick: bool) -> torch.nn.Module:
    """The unprotected model, which is the same for all locks."""
    epochs, model = 2 if quick else 6, _fresh()
    path = CACHE / f"attacked-{CARD.architecture}-{len(data.train)}-{epochs}.pt"
    if path.exists():
        model.load_state_dict(torch.load(path, weights_only=True))
        return model.eval()
    fit(model, CARD, data.train, Recipe(epochs=epochs))
    torch.save(model.state_dict(), path)
    return model


def _variants() -> dict[str, tuple[LockParameters, Negatives, str]]:
    """Parameters, negatives and budget."""
    hardened = LockParameters(block=4, steps="substitute", tables="position", keys="block")
    published = LockParameters(block=4, steps="shuffle", labels="plain")
    return {
        "default": (DEFAULT, Negatives(), "full"),
        "shuffle+flip": (LockParameters(block=4, steps="shuffle+flip"), Negatives(), "full"),
        "a table for every value": (hardened, Negatives(), "quick"),
        "shuffle, as published": (published, Negatives(share=0), "quick"),
    }


def _attacked(
    name: str,
    data: Dataset,
    thief: Split,
    parameters: LockParameters,
    negatives: Negatives,
    budget: str,
    *,
    quick: bool,
) -> dict[str, object]:
    key = LockKey.derive(
        bytes(range(32)),
        binding=b"",
        shape=(CARD.channels, CARD.height, CARD.width),
        classes=CARD.classes,
        parameters=parameters,
    )
    base, locked = _base(data, quick=quick), _fresh()
    locked.load_state_dict(base.state_dict())
    taught = negatives.share > 0  # the published recipe has neither negatives nor a teacher
    lock(
        locked,
        CARD,
        data.train,
        key,
        replace(RECIPE, epochs=2 if quick else 12 if taught else 6),
        negatives=negatives,
        teacher=base if taught else None,
    )
    right = key.decode(predict_labels(locked, CARD, key(data.test.images))) == data.test.labels
    print(f"{name}: right key {right.mean():.3f}", flush=True)
    started = time.monotonic()
    budget = "quick" if quick else budget
    results = run_suite(
        locked, base, CARD, key, thief, data.test, attacks=QUICK if quick else None, budget=budget
    )
    print(f"{name}: {time.monotonic() - started:.0f} s in all", flush=True)
    return {
        "right_key": round(float(right.mean()), 4),
        "budget": budget,
        "reached": attack_rows(name, results),
    }


def _fresh() -> torch.nn.Module:
    torch.manual_seed(0)
    return architectures.build(CARD)


if __name__ == "__main__":
    main()
