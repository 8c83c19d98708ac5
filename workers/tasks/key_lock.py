"""The key-lock job."""

from pathlib import Path
from typing import Any, cast

from torch import nn

from protection.models import Protection
from spellmark.locks.key_lock.lock import RECIPE, lock
from spellmark.locks.key_lock.lock_key import LockKey
from spellmark.locks.key_lock.report_card import report_card
from spellmark.locks.opened_key import OpenedKey
from spellmark.model_files.card import ModelCard
from spellmark.secrets import KeyFile
from spellmark.training.datasets import Dataset, Split
from spellmark.training.fit import Recipe
from tasks import locks
from tasks.locks import Locksmith
from tasks.work import Work


def run(work: Work) -> None:
    """Lock a version under a key."""
    locks.run(work, _make)


def _make(
    key: OpenedKey, file: KeyFile, protection: Protection, folder: Path, data: Dataset
) -> Locksmith:
    opened = cast(LockKey, key)

    def make(
        model: nn.Module,
        unprotected: nn.Module,
        card: ModelCard,
        data: Split,
        recipe: Recipe,
        **options: Any,
    ) -> None:
        lock(model, card, data, opened, recipe, teacher=unprotected, **options)

    def measure(
        locked: nn.Module, unprotected: nn.Module, card: ModelCard, test: Split, **options: Any
    ) -> dict[str, Any]:
        return report_card(locked, unprotected, card, test, opened, **options).as_dict()

    return Locksmith(RECIPE, make, measure)
