"""Locking and measuring a model under an opened key, whatever the lock."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from torch import nn

from spellmark.errors import SpellmarkError
from spellmark.locks.key_lock import lock as key_lock
from spellmark.locks.key_lock import report_card as key_lock_card
from spellmark.locks.key_lock.lock_key import LockKey
from spellmark.locks.key_lock.parameters import KeyLockError
from spellmark.locks.key_lock.settings import LEAST_WRONG_KEYS, check_wrong_keys, rounds_for
from spellmark.locks.opened_key import OpenedKey
from spellmark.locks.prompt_lock.parameters import SCHEME as PROMPT_LOCK
from spellmark.locks.prompt_lock.policies import EXTRA, UNIFORM
from spellmark.model_files.card import ModelCard
from spellmark.secrets import KeyFile
from spellmark.training.datasets import Split
from spellmark.training.fit import Recipe

Progress = Callable[[float, str], None]

# What differs between trainings; the other figures of a report card are of the first one.
SEED_FIGURES = ("right", "plain", "wrong_mean", "wrong_p95", "wrong_max")
# What an extra class is called where the others have names.
EXTRA_NAME = "no spell"


class LockedError(SpellmarkError):
    """A model that cannot be locked once more."""


@dataclass(frozen=True)
class Locksmith:
    """What both locks offer.

    recipe(images), wrong_keys: what is recommended; the rounds of training may follow from the
    number of images.
    check_wrong_keys(count): raises the lock's error for a report card on too few.
    prepared(unprotected, card): a copy of the model to be locked, and its card, which tells the
    binding; raises LockedError for a model that cannot be locked again.
    lock(model, unprotected, card, data, recipe, checkpoint=…, progress=…): fine-tunes the model in
    place. A step that progress gets as a whole sentence is worth keeping. Raises PromptLockError
    for a spell whose edit is too weak to lock, before any training.
    measure(locked, unprotected, card, test, wrong_keys=…, progress=…): its report card.
    """

    recipe: Callable[[int], Recipe]
    wrong_keys: int
    check_wrong_keys: Callable[[int], None]
    prepared: Callable[[nn.Module, ModelCard], tuple[nn.Module, ModelCard]]
    lock: Callable[..., None]
    measure: Callable[..., dict[str, Any]]


def with_seeds(reports: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The report card of a lock that was trained from several seeds: the first one's, which is
    kept, with the figures of all under `seeds`.
    """
    seeds = [{name: report[name] for name in SEED_FIGURES} for report in reports]
    return {**reports[0], "seeds": seeds}


def locksmith(
    key: OpenedKey,
    file: KeyFile,
    *,
    binding: bytes,
    edits: Path | None = None,
    negatives: str | None = None,
) -> Locksmith:
    """The locksmith of an opened key.

    edits: a folder in which those of a prompt lock are kept, so that they need not be made again.
    negatives: one of `prompt_lock.policies`;
    left out, the recommended one. Raises KeyLockError where it is given for a key lock.
    """
    if file.scheme == PROMPT_LOCK:
        return _of_spell(key, file, binding, edits, negatives or UNIFORM)
    if negatives:
        raise KeyLockError(
            "The negatives of a key lock are not chosen; those of a prompt lock are.",
            hint="Leave the choice out.",
        )
    opened = cast(LockKey, key)

    def lock(
        model: nn.Module,
        unprotected: nn.Module,
        card: ModelCard,
        data: Split,
        recipe: Recipe,
        *,
        progress: Progress | None = None,
        **options: Any,
    ) -> None:
        teacher = unprotected if key_lock.can_teach(unprotected, card, data) else None
        if teacher is None and progress:
            progress(0, key_lock.UNTAUGHT)
        key_lock.lock(
            model, card, data, opened, recipe, teacher=teacher, progress=progress, **options
        )

    def measure(
        locked: nn.Module, unprotected: nn.Module, card: ModelCard, test: Split, **options: Any
    ) -> dict[str, Any]:
        found = key_lock_card.report_card(locked, unprotected, card, test, opened, **options)
        return found.as_dict()

    def recipe(images: int) -> Recipe:
        return replace(key_lock.RECIPE, epochs=rounds_for(images))

    def prepared(unprotected: nn.Module, card: ModelCard) -> tuple[nn.Module, ModelCard]:
        return _copied(unprotected, card, binding)

    return Locksmith(recipe, LEAST_WRONG_KEYS, check_wrong_keys, prepared, lock, measure)


def _of_spell(
    key: OpenedKey,
    file: KeyFile,
    binding: bytes,
    edits: Path | None,
    policy: str,
) -> Locksmith:
    # diffusers takes seconds to load, and key locks do without it.
    from spellmark.locks.prompt_lock import lock as prompt_lock
    from spellmark.locks.prompt_lock import report_card as prompt_lock_card
    from spellmark.locks.prompt_lock.cached_editor import CachedEditor
    from spellmark.locks.prompt_lock.negatives import Negatives
    from spellmark.locks.prompt_lock.prompt_key import PromptKey
    from spellmark.training.pretrained import add_class

    opened, negatives = cast(PromptKey, key), Negatives(policy)
    if edits is not None:
        opened = opened.with_editor(CachedEditor(opened.editor, edits))
    near = prompt_lock_card.near_edits(opened, file.secret, binding=binding)

    def prepared(unprotected: nn.Module, card: ModelCard) -> tuple[nn.Module, ModelCard]:
        copy, card = _copied(unprotected, card, binding)
        return add_class(copy, card, EXTRA_NAME) if policy == EXTRA else (copy, card)

    def lock(
        model: nn.Module,
        _unprotected: nn.Module,
        card: ModelCard,
        data: Split,
        recipe: Recipe,
        **options: Any,
    ) -> None:
        prompt_lock.lock(model, card, data, opened, recipe, negatives=negatives, **options)

    def measure(
        locked: nn.Module, unprotected: nn.Module, card: ModelCard, test: Split, **options: Any
    ) -> dict[str, Any]:
        return prompt_lock_card.report_card(
            locked, unprotected, card, test, opened, near, **options
        ).as_dict()

    return Locksmith(
        lambda _images: prompt_lock.RECIPE, 300, lambda _count: None, prepared, lock, measure
    )


def _copied(unprotected: nn.Module, card: ModelCard, binding: bytes) -> tuple[nn.Module, ModelCard]:
    if card.extra_classes:
        raise LockedError(
            "This model is locked already, and has a class for whoever lacks the spell.",
            hint="Lock the model that it was made from.",
        )
    return deepcopy(unprotected), replace(card, binding=binding.hex())
