"""What thieves reach against prompt locks: the whole suite, on the default lock and on a prompt.

Each lock is made as an owner would make it; the thief has the locked weights, the lock's parameters
and a few images. Thieves who hold a part of the key stand in the same table. Locks that were
attacked before, with the same settings, are taken from benchmarks/cache.
"""

import argparse
import time
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from attack_rows import attack_rows
from kept import CACHE, EDITS, EDITS_FOLDER, kept
from key_lock_accuracy import CARD
from owner_editors import owner_editor
from prompt_locks import SPELL, opened, public_base, unprotected
from result import report, today

from spellmark.attacks.attack import Target
from spellmark.attacks.fine_tune import fine_tune
from spellmark.attacks.prompt_lock.catalogue import BUDGETS
from spellmark.attacks.prompt_lock.suite import run_suite
from spellmark.locks.prompt_lock.cached_editor import CachedEditor
from spellmark.locks.prompt_lock.editors import load_editor
from spellmark.locks.prompt_lock.lock import RECIPE, lock
from spellmark.locks.prompt_lock.negatives import Negatives
from spellmark.locks.prompt_lock.parameters import PromptLockParameters
from spellmark.locks.prompt_lock.public_editor import public_digest
from spellmark.locks.prompt_lock.report_card import near_edits
from spellmark.training import architectures, datasets
from spellmark.training.datasets import Dataset, Split
from spellmark.training.inference import predict_labels

# What a thief may have of the owner's kind of data, from the end of the training images.
ATTACKER, TEST = 3000, 1000
VARIANTS = {"default": (SPELL, "spell"), "a prompt": ("with oil pastel", "prompt")}
MEANING = {
    "attacks": "for each lock and attack: the best accuracy reached, and what it cost",
}


def main() -> None:
    """Lock, attack, tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few images, small budgets")
    parser.add_argument("--variant", choices=VARIANTS, help="only this one, for the cache")
    options = parser.parse_args()
    # Seconds are those of one core; variants can be run side by side for the cache.
    torch.set_num_threads(1)
    CACHE.mkdir(exist_ok=True)
    whole = datasets.load("fashion-mnist")
    thief = whole.train[len(whole.train) - ATTACKER :]
    data = Dataset(whole.name, whole.train[: 1_000 if options.quick else 12_000], whole.test[:TEST])
    chosen = dict(VARIANTS)
    if options.quick or options.variant:
        name = options.variant or "default"
        chosen = {name: VARIANTS[name]}
    attacks = {
        name: kept(
            "prompt-attacks-",
            (CARD, variant, len(data.train), RECIPE, Negatives(), BUDGETS, public_digest(), EDITS,
             options.quick),
            partial(_attacked, name, data, thief, *variant, quick=options.quick),
        )
        for name, variant in chosen.items()
    }  # fmt: skip
    if options.variant:
        return
    base = kept(
        "prompt-attacks-base-",
        (CARD, len(data.train), BUDGETS, EDITS, options.quick, torch.__version__),
        partial(_from_base, data, thief, whole.train.images, quick=options.quick),
    )
    for row in attacks.values():
        row["reached"] = [*row["reached"], *base]
    report("prompt_lock_attacks", {"attacks": attacks}, MEANING, quick=options.quick)


def _attacked(
    name: str, data: Dataset, thief: Split, prompt: str, reading: str, *, quick: bool
) -> dict[str, Any]:
    editor = CachedEditor(load_editor(), EDITS_FOLDER)
    file, key = opened(editor, prompt, reading, seed=0)
    base = unprotected(data.train, 0, quick=quick)
    locked = architectures.build(CARD)
    locked.load_state_dict(base.state_dict())
    lock(locked, CARD, data.train, key, replace(RECIPE, epochs=2 if quick else RECIPE.epochs))
    right = key.decode(predict_labels(locked, CARD, key(data.test.images))) == data.test.labels
    print(f"{name}: right key {right.mean():.3f}", flush=True)
    budget, started = "quick" if quick else "full", time.monotonic()
    # Guesses are made once each: to keep them would only fill the disk.
    key = key.with_editor(load_editor())
    found = run_suite(
        locked, None, CARD, key, thief, data.test,
        near=near_edits(key, file.secret, binding=b"", count=20 if quick else 200),
        editors=[owner_editor(0, data.train.images, quick=quick)],
        budget=budget,
    )  # fmt: skip
    print(f"{name}: {time.monotonic() - started:.0f} s in all", flush=True)
    return {
        "date": today(),
        "right_key": round(float(right.mean()), 4),
        "budget": budget,
        "reached": attack_rows(name, found),
    }


def _from_base(data: Dataset, thief: Split, images: Any, *, quick: bool) -> list[dict[str, Any]]:
    """What a thief reaches without the stolen model: from a base that anybody could make."""
    # Neither the owner's images nor those that the thief has labels for.
    others = images[len(data.train) : len(data.train) + (500 if quick else 10_000)]
    base = public_base(others, quick=quick)
    target = Target(base, CARD, PromptLockParameters(editor=public_digest()))
    found = fine_tune(
        target, base, thief, data.test, generator=np.random.default_rng(0),
        grid=BUDGETS["quick" if quick else "full"].grid, ways=("fine-tune-base",),
    )  # fmt: skip
    return attack_rows("no lock", found)


if __name__ == "__main__":
    main()
