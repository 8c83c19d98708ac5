"""The attack job: what a thief of a locked model would reach, and at what cost."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from jobs.sealing import unseal
from protection.editors import editor_path, other_editors
from protection.models import Protection, Rehearsal
from spellmark.attacks.attack import AttackResult
from spellmark.attacks.key_lock import suite as key_lock
from spellmark.errors import SpellmarkError
from spellmark.locks.key_lock.lock_key import LockKey
from spellmark.locks.opened_key import OpenedKey
from spellmark.secrets import KeyFile
from spellmark.training import datasets, weights
from tasks.lock import data_for, model_path, opened_key
from tasks.rehearsing import rehearse
from tasks.work import Work

if TYPE_CHECKING:
    from spellmark.locks.prompt_lock.editors import Editor

# An editor is slow, and so many images tell an accuracy to a point or two.
MOST_EDITED = 1000


def run(work: Work) -> None:
    """Attack the protection's locked version, and keep what came of it."""
    rehearse(work, _suite, _line)


def _line(result: AttackResult) -> str:
    return f"{result.name}, {result.labels_used} labels: {result.accuracy:.1%}"


def _suite(work: Work, rehearsal: Rehearsal, folder: Path) -> Callable[..., list[AttackResult]]:
    """The attacks on this kind of lock, on its locked model."""
    protection = rehearsal.protection
    file = KeyFile.loads(unseal(work.job)["key"])
    key = opened_key(protection.source, protection.commitment, file)
    data = data_for(protection.source, rehearsal.dataset)
    attacker = _thiefs_images(work, rehearsal, data)
    locked, card = weights.load(model_path(protection.result))
    # Without the model from before the lock: a thief who has that needs no key.
    if protection.kind == Protection.Kind.PROMPT_LOCK:
        return _on_spell(work, rehearsal, locked, card, key, file, attacker, data.test, folder)
    return partial(key_lock.run_suite, locked, None, card, cast(LockKey, key), attacker, data.test)


def _on_spell(
    work: Work,
    rehearsal: Rehearsal,
    locked: Any,
    card: Any,
    key: OpenedKey,
    file: KeyFile,
    attacker: datasets.Split,
    test: datasets.Split,
    folder: Path,
) -> Callable[..., list[AttackResult]]:
    # diffusers takes seconds to load, and key locks do without it.
    from spellmark.attacks.prompt_lock.suite import run_suite
    from spellmark.locks.prompt_lock.cached_editor import CachedEditor
    from spellmark.locks.prompt_lock.prompt_key import PromptKey
    from spellmark.locks.prompt_lock.report_card import near_edits

    opened = cast(PromptKey, key)
    opened = opened.with_editor(CachedEditor(opened.editor, folder / "edits"))
    binding = bytes.fromhex(rehearsal.protection.commitment.binding)
    return partial(
        run_suite, locked, None, card, opened, attacker, test[:MOST_EDITED],
        near=near_edits(opened, file.secret, binding=binding),
        editors=_other_editors(work, rehearsal, opened.editor.digest),
    )  # fmt: skip


def _other_editors(work: Work, rehearsal: Rehearsal, digest: str) -> list["Editor"]:
    """The other editors that a thief might have; one that cannot be loaded is told in the log."""
    from spellmark.locks.prompt_lock.editors import load_editor

    if "other-editors" not in rehearsal.attacks:
        return []
    organisation_id, editors = rehearsal.protection.organisation_id, []
    for other in other_editors(organisation_id, digest):
        try:
            editors.append(load_editor(editor_path(organisation_id, other)))
        # An upload's header was checked only, and an editor more or less voids no other attack.
        except SpellmarkError as error:
            work.log(f"the editor {other[:12]}… was not tried: {error.message}")
    return editors


def _thiefs_images(work: Work, rehearsal: Rehearsal, data: datasets.Dataset) -> datasets.Split:
    """Training images that the lock has not seen, where the data set has any left."""
    protection = rehearsal.protection
    seen = protection.settings["images"] if rehearsal.dataset == protection.dataset else 0
    if seen < len(data.train):
        return data.train[seen:]
    work.log("the lock was trained on all images of this data set, so the thief has the same ones")
    return data.train
