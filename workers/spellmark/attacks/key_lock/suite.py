"""All attacks on a key lock, run one after the other on the same model."""

from collections.abc import Iterable

from torch import nn

from spellmark.attacks.attack import AttackResult, Progress
from spellmark.attacks.fine_tune import fine_tune
from spellmark.attacks.key_lock.batch_norm import batch_norm_swaps
from spellmark.attacks.key_lock.bypass import block_bypass, pixel_bypass
from spellmark.attacks.key_lock.catalogue import BUDGETS, Budget
from spellmark.attacks.key_lock.ciphertext_only import ciphertext_only
from spellmark.attacks.key_lock.key_target import KeyTarget
from spellmark.attacks.key_lock.known_plaintext import known_plaintext
from spellmark.attacks.key_lock.relaxed_key import relaxed_key
from spellmark.attacks.key_lock.search_key import (
    random_keys,
    swaps_by_accuracy,
    swaps_by_cross_entropy,
)
from spellmark.attacks.running import Run, run_attacks
from spellmark.locks.key_lock.lock_key import LockKey
from spellmark.model_files.card import ModelCard
from spellmark.training.datasets import Split


def run_suite(
    locked: nn.Module,
    base: nn.Module | None,
    card: ModelCard,
    key: LockKey,
    attacker: Split,
    test: Split,
    *,
    attacks: Iterable[str] | None = None,
    budget: str = "quick",
    seed: int = 0,
    progress: Progress | None = None,
) -> list[AttackResult]:
    """Attack a locked model with all attacks of the catalogue, or with those named.

    The key serves only to make the transformed images that some thieves have seen (under the first
    sub-key). `attacker` are the thief's labelled plain images; `test` the held-out ones on which
    accuracy is measured. Attacks that the model is not made for (batch statistics without batch
    normalisation) are left out unless they are named. Raises AttackError.
    """
    target = KeyTarget(locked, card, key.parameters, key.geometry)
    runs = _runs(target, base, key, attacker, test, BUDGETS[budget])
    return run_attacks(runs, attacks, seed=seed, progress=progress)


def _runs(
    target: KeyTarget,
    base: nn.Module | None,
    key: LockKey,
    attacker: Split,
    test: Split,
    spend: Budget,
) -> dict[str, Run]:
    few = attacker[: spend.labels]
    known = attacker.images[: spend.pairs]
    half = len(attacker) // 2
    stolen, public = key(attacker.images[half:]), attacker.images[:half]
    return {
        "random-keys": lambda g, p: [
            random_keys(target, few, test, generator=g, budget=spend.random, progress=p)
        ],
        "swaps-accuracy": lambda g, p: [
            swaps_by_accuracy(target, few, test, generator=g, budget=spend.guesses, progress=p)
        ],
        "swaps-cross-entropy": lambda g, p: [
            swaps_by_cross_entropy(target, few, test, generator=g, budget=spend.guesses, progress=p)
        ],
        "batch-norm": lambda g, p: [
            batch_norm_swaps(target, few, test, generator=g, budget=spend.guesses, progress=p)
        ],
        "relaxed-key": lambda g, p: [
            relaxed_key(
                target, few, test, generator=g, steps=spend.steps, starts=spend.starts, progress=p
            )
        ],
        "relaxed-key-swaps": lambda g, p: [
            relaxed_key(
                target,
                few,
                test,
                generator=g,
                steps=spend.steps,
                starts=spend.starts,
                swaps=spend.guesses,
                progress=p,
            )
        ],
        "bypass-block": lambda g, p: [
            block_bypass(target, few, test, generator=g, steps=spend.steps, progress=p)
        ],
        "bypass-pixel": lambda g, p: [
            pixel_bypass(target, few, test, generator=g, steps=spend.steps, progress=p)
        ],
        "fine-tune": lambda g, p: fine_tune(
            target, base, attacker, test, generator=g, grid=spend.grid, progress=p
        ),
        "known-plaintext": lambda g, p: [
            known_plaintext(target, (known, key(known)), few, test, progress=p)
        ],
        "ciphertext-only": lambda g, p: [
            ciphertext_only(target, stolen, public, few, test, generator=g, progress=p)
        ],
    }
