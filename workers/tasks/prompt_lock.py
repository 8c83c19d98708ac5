"""The prompt-lock job."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from torch import nn

from protection.models import Protection
from spellmark.locks.opened_key import OpenedKey
from spellmark.locks.prompt_lock.cached_editor import CachedEditor
from spellmark.locks.prompt_lock.lock import RECIPE, lock
from spellmark.locks.prompt_lock.prompt_key import PromptKey, SpellEdit
from spellmark.locks.prompt_lock.report_card import near_edits, report_card
from spellmark.locks.prompt_lock.strength import require_strength
from spellmark.model_files.card import ModelCard
from spellmark.secrets import KeyFile
from spellmark.training.datasets import Dataset, Split
from tasks import locks
from tasks.locks import Progress
from tasks.work import Work


def run(work: Work) -> None:
    """Lock a version under a spell."""
    locks.run(work, _make)


@dataclass(frozen=True)
class _PromptLocksmith:
    key: PromptKey
    near: Sequence[SpellEdit]

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
        lock(model, card, data, self.key, recipe, checkpoint=checkpoint, progress=progress)

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
        return report_card(
            locked, unprotected, card, test, self.key, self.near, **options
        ).as_dict()


def _make(
    key: OpenedKey, file: KeyFile, protection: Protection, folder: Path, data: Dataset
) -> _PromptLocksmith:
    opened = cast(PromptKey, key)
    # Before anything is trained.
    require_strength(opened, data.test.images)
    cached = opened.with_editor(CachedEditor(opened.editor, folder / "edits"))
    binding = bytes.fromhex(protection.commitment.binding)
    return _PromptLocksmith(cached, near_edits(cached, file.secret, binding=binding))
