"""The key-lock job."""

from dataclasses import dataclass, replace
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
from tasks import locks
from tasks.locks import Progress
from tasks.work import Work


def run(work: Work) -> None:
    """Lock a version under a key."""
    locks.run(work, _make)


@dataclass(frozen=True)
class _KeyLocksmith:
    key: LockKey

    def lock(
        self,
        model: nn.Module,
        unprotected: nn.Module,
        card: ModelCard,
        data: Split,
        *,
        epochs: int,
        seed: int,
        checkpoint: Path,
        progress: Progress,
    ) -> None:
        recipe = replace(RECIPE, epochs=epochs, seed=seed)
        options: dict[str, Any] = {"checkpoint": checkpoint, "progress": progress}
        lock(model, card, data, self.key, recipe, teacher=unprotected, **options)

    def measure(
        self,
        locked: nn.Module,
        unprotected: nn.Module,
        card: ModelCard,
        test: Split,
        *,
        wrong_keys: int,
        progress: Progress,
    ) -> dict[str, Any]:
        options: dict[str, Any] = {"wrong_keys": wrong_keys, "progress": progress}
        return report_card(locked, unprotected, card, test, self.key, **options).as_dict()


def _make(
    key: OpenedKey, file: KeyFile, protection: Protection, folder: Path, data: Dataset
) -> _KeyLocksmith:
    return _KeyLocksmith(cast(LockKey, key))
