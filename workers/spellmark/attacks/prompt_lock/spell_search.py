"""Guessing the spell, its settings and its editor."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from spellmark.attacks.attack import AttackResult, Progress, Target
from spellmark.attacks.prompt_lock.guesses import Guess, best_guess
from spellmark.locks.prompt_lock import prompts
from spellmark.locks.prompt_lock.editors import Editor
from spellmark.locks.prompt_lock.parameters import (
    PROMPT,
    PromptLockError,
    PromptLockParameters,
)
from spellmark.locks.prompt_lock.prompt_key import PromptKey, SpellEdit
from spellmark.training.datasets import Split

# So much of a digest tells one editor from another, as pages show it.
DIGEST_SHOWN = 12
# What a thief would write first: what the editor was trained for, and other words of the kind.
LISTED = (*prompts.TRAINED, *prompts.HELD_OUT)


@dataclass(frozen=True)
class RandomSpells:
    """So many random embeddings, one after the other."""

    key: PromptKey
    count: int
    generator: np.random.Generator

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Guess]:
        return (self.key.drawn(self.generator) for _ in range(self.count))


def random_spells(
    target: Target,
    key: PromptKey,
    attacker: Split,
    test: Split,
    *,
    generator: np.random.Generator,
    count: int,
    tried_on: int,
    progress: Progress | None = None,
) -> AttackResult:
    """Try random embeddings; of the key serve its settings and editor, which are public."""
    guesses = RandomSpells(key, count, generator)
    return best_guess(
        "random-spells", target, guesses, attacker, test, tried_on=tried_on, progress=progress
    )


def prompt_list(
    target: Target,
    key: PromptKey,
    attacker: Split,
    test: Split,
    *,
    tried_on: int,
    progress: Progress | None = None,
) -> AttackResult:
    """Try what people would write, read by the editor's text encoder."""
    guesses = [key.under(text) for text in LISTED]
    return best_guess(
        "prompt-list", target, guesses, attacker, test, tried_on=tried_on, progress=progress
    )


def other_settings(
    target: Target,
    key: PromptKey,
    attacker: Split,
    test: Split,
    *,
    tried_on: int,
    progress: Progress | None = None,
) -> list[AttackResult]:
    """The right spell under other settings, one result for each setting: the best other value.

    A setting that the editor cannot work with is passed over.
    """
    told, results = key.parameters, []
    others = _other_values(told)
    for number, (name, values) in enumerate(others.items()):
        edits = [
            SpellEdit(
                key.editor,
                PromptLockParameters.from_dict({**told.as_dict(), name: value}),
                key.transforms[0].embedding,
            )
            for value in values
        ]
        usable = [edit for edit in edits if _works(edit, attacker)]
        if usable:
            results.append(
                best_guess(
                    f"other-{name.replace('_', '-')}", target, usable, attacker, test,
                    tried_on=tried_on,
                )
            )  # fmt: skip
        if progress:
            progress((number + 1) / len(others), name)
    return results


def other_editors(
    target: Target,
    key: PromptKey,
    editors: Sequence[Editor],
    attacker: Split,
    test: Split,
    *,
    tried_on: int,
    progress: Progress | None = None,
) -> AttackResult:
    """The right spell in other editors; those that cannot take it are passed over.

    The result's details name those that were tried, by the beginnings of their digests. An editor
    with random weights is none of them: ours begin as ones that leave images alone.
    """
    others = [editor for editor in editors if editor.digest != key.editor.digest]
    guesses = [edit for editor in others if (edit := _in_editor(editor, key))]
    result = best_guess(
        "other-editors", target, guesses, attacker, test, tried_on=tried_on, progress=progress
    )
    tried = [guess.editor.digest[:DIGEST_SHOWN] for guess in guesses]
    return replace(result, details={**result.details, "editors": tried})


def _in_editor(editor: Editor, key: PromptKey) -> SpellEdit | None:
    """The right spell in this editor, or None where it does not fit it.

    A thief who knows the words of a prompt has this editor read them, not the lock's own.
    """
    if key.parameters.reading == PROMPT:
        if not editor.readable([key.prompt]):
            return None
        return SpellEdit(editor, key.parameters, editor.read(key.prompt))
    spell = key.transforms[0].embedding
    return SpellEdit(editor, key.parameters, spell) if editor.width == spell.shape[-1] else None


def _other_values(told: PromptLockParameters) -> dict[str, list[int | str]]:
    """Other values of each setting, near and far."""
    alphas = [a for a in range(10, 101, 10) if a != told.alpha]
    schedulers = ["own", "DDIMScheduler", "PNDMScheduler", "EulerDiscreteScheduler",
                  "DPMSolverMultistepScheduler"]  # fmt: skip
    return {
        "seed": [(told.seed + n) % 2**32 for n in (1, 2, 2**16)],
        "steps": [n for n in (1, 2, 3, 5, 10) if n != told.steps],
        "scheduler": [name for name in schedulers if name != told.scheduler],
        "guidance": [scale for scale in ("1", "2", "4.5") if scale != told.guidance],
        "alpha": [*alphas],
    }


def _works(edit: SpellEdit, attacker: Split) -> bool:
    try:
        edit(attacker.images[:1])
    except PromptLockError:
        return False
    return True
