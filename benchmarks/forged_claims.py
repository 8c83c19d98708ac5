"""The cheating accuser: every kind of false claim, tried for real, and what stopped it.

A registry in miniature (its own signing key, log and null pool) judges with the library's own code:
derivation, rule, certificate, `spellmark verify`. The accused are innocent models that the accuser
never saw. Beside what was accepted stands what a naive protocol would have accepted, which takes
the triggers that are handed in and counts hits: it is the reason for the design.
"""

import argparse
import os
import time
from dataclasses import asdict
from typing import Any

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import torch
from result import report

from spellmark.attacks.forge_claim.catalogue import BUDGETS, FORGERIES
from spellmark.attacks.forge_claim.forgery import Forgery
from spellmark.attacks.forge_claim.suite import run_forgeries
from spellmark.attacks.forge_claim.world import make_world
from spellmark.model_files.card import ModelCard
from spellmark.training import datasets

CARD = {"classes": 10, "channels": 1, "height": 28, "width": 28, "mean": (0.286,), "std": (0.353,)}
MEANING = {
    "forgeries_tried": "false claims that were made, all kinds together",
    "forged_accepted": "of them believed; it should be none",
    "honest_claim": "the accuser's one true claim, against his own copy, by the same code",
    "innocents": "accused models: of other data, the same data, and the same architecture",
    "references": "models that the accuser trained himself to make images that transfer",
    "pool": "models of the registry's null pool",
    "naive_innocents_accused": "innocents × adversarial sets that a protocol accuses which counts "
    "hits on 64 images handed in (23 of 64, 36 %)",
    "naive_claims": "of so many",
    "sets_void_by_pool_alone": "adversarial sets by which a model of the null pool would be "
    "accused too, had nothing stopped them before",
    "sets": "of so many",
    "ground_naive": "secrets, ground at the largest alpha that a key may have, that suit the "
    "innocent where nobody counts them",
    "ground_accepted": "the same, all keys counted",
    "ground": "of so many",
    "seconds": "of processor time",
}


def main() -> None:
    """Train everybody, forge, count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and smaller models")
    options = parser.parse_args()
    torch.set_num_threads(1)
    begin = time.process_time()
    sizes = BUDGETS["quick" if options.quick else "full"]
    card = ModelCard(architecture="small-mlp", **CARD)
    world = make_world(card, datasets.load("fashion-mnist"), sizes, progress=_tell)
    honest = world.loud.decision.verdict
    assert world.court.verify(world.loud.bundle).passed
    found = run_forgeries(world, progress=_tell)
    _show(found)
    sets = [one for one in found if one.name == "adversarial images"]
    # The last of them is the one that an uncounted protocol would believe.
    *_, ground = (one for one in found if one.name == "seed grinding")
    figures: dict[str, Any] = {
        "forgeries_tried": sum(one.tried for one in found),
        "forged_accepted": sum(one.accepted for one in found),
        "honest_claim": honest,
        "innocents": len(world.innocents),
        "references": len(world.references),
        "pool": len(world.court.pool),
        "naive_innocents_accused": sum(one.naive or 0 for one in sets),
        "naive_claims": len(sets) * len(world.innocents),
        "sets_void_by_pool_alone": sum(one.details["pool_would_pass"] > 0 for one in sets),
        "sets": len(sets),
        "ground_naive": ground.naive,
        "ground_accepted": ground.accepted,
        "ground": ground.tried,
        "seconds": round(time.process_time() - begin, 1),
        "table": [asdict(one) for one in found],
    }
    report("forged_claims", figures, MEANING, quick=options.quick)


def _tell(share: float, step: str) -> None:
    if step in FORGERIES or "loss" in step:
        print(step, flush=True)


def _show(found: list[Forgery]) -> None:
    print(f"\n{'forgery':<20}{'':<38}{'tried':>7}{'accepted':>9}{'naive':>7}  stopped by")
    for one in found:
        naive = "" if one.naive is None else one.naive
        head = f"{one.name:<20}{one.variant:<38}{one.tried:>7}{one.accepted:>9}{naive:>7}"
        for number, (words, count) in enumerate(one.stopped_by.items()):
            print(f"{head if not number else '':<81}  {count} × {words}")
    print()


if __name__ == "__main__":
    main()
