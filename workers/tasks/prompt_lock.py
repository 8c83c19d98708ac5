"""The prompt-lock job."""

from pathlib import Path
from typing import Any, cast

from torch import nn

from protection.models import Protection
from spellmark.locks.opened_key import OpenedKey
from spellmark.locks.prompt_lock.cached_editor import CachedEditor
from spellmark.locks.prompt_lock.lock import RECIPE, lock
from spellmark.locks.prompt_lock.prompt_key import PromptKey
from spellmark.locks.prompt_lock.report_card import near_edits, report_card
from spellmark.locks.prompt_lock.strength import require_strength
from spellmark.model_files.card import ModelCard
from spellmark.secrets import KeyFile
from spellmark.training.datasets import Dataset, Split
from spellmark.training.fit import Recipe
from tasks import locks
from tasks.locks import Locksmith
from tasks.work import Work


def run(work: Work) -> None:
    """Lock a version under a spell."""
    locks.run(work, _make)


def _make(
    key: OpenedKey, file: KeyFile, protection: Protection, folder: Path, data: Dataset
) -> Locksmith:
    opened = cast(PromptKey, key)
    # Before anything is trained.
    require_strength(opened, data.test.images)
    cached = opened.with_editor(CachedEditor(opened.editor, folder / "edits"))
    near = near_edits(cached, file.secret, binding=bytes.fromhex(protection.commitment.binding))

    def make(
        model: nn.Module,
        unprotected: nn.Module,
        card: ModelCard,
        data: Split,
        recipe: Recipe,
        **options: Any,
    ) -> None:
        lock(model, card, data, cached, recipe, **options)

    def measure(
        locked: nn.Module, unprotected: nn.Module, card: ModelCard, test: Split, **options: Any
    ) -> dict[str, Any]:
        return report_card(locked, unprotected, card, test, cached, near, **options).as_dict()

    return Locksmith(RECIPE, make, measure)
