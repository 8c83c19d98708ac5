"""All attacks on a prompt lock, run one after the other on the same model."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch
from torch import nn

from spellmark.attacks.attack import AttackResult, Attempt, Progress, Target
from spellmark.attacks.distillation import distillation
from spellmark.attacks.fine_tune import WAYS, fine_tune
from spellmark.attacks.prompt_lock import imitation, inversion, spell_search
from spellmark.attacks.prompt_lock.catalogue import BUDGETS, Budget
from spellmark.attacks.prompt_lock.guesses import Guess, best_guess
from spellmark.attacks.running import Run, run_attacks
from spellmark.locks.prompt_lock.editors import Editor
from spellmark.locks.prompt_lock.prompt_key import PromptKey
from spellmark.model_files.card import ModelCard
from spellmark.training.datasets import Split


class RealClasses(nn.Module):
    """A locked model without the logits of classes that only its negatives have."""

    def __init__(self, model: nn.Module, classes: int) -> None:
        super().__init__()
        self.model, self.classes = model, classes

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits of the real classes."""
        logits: torch.Tensor = self.model(images)[:, : self.classes]
        return logits


def run_suite(
    locked: nn.Module,
    base: nn.Module | None,
    card: ModelCard,
    key: PromptKey,
    attacker: Split,
    test: Split,
    *,
    near: Sequence[Guess] = (),
    editors: Sequence[Editor] = (),
    attacks: Iterable[str] | None = None,
    budget: str = "quick",
    seed: int = 0,
    progress: Progress | None = None,
) -> list[AttackResult]:
    """Attack a locked model with all attacks of the catalogue, or with those named.

    The key serves to edit images that some thieves have seen, and for thieves who hold it in part:
    near: the edits of texts near the spell (see `report_card.near_edits`). editors: others than
    the lock's. `attacker` are the thief's labelled plain images; `test` the held-out ones on which
    accuracy is measured. An extra class of the model is cut off first. Attacks that cannot be run
    on this lock are left out unless they are named. Raises AttackError.
    """
    if card.classes > key.classes:
        locked = RealClasses(locked, key.classes)
        card = replace(card, classes=key.classes, extra_classes=0, label_names=())
    target = Target(locked, card, key.parameters)
    runs = _runs(target, base, key, near, editors, attacker, test, BUDGETS[budget])
    return run_attacks(runs, attacks, seed=seed, progress=progress)


def _runs(
    target: Target,
    base: nn.Module | None,
    key: PromptKey,
    near: Sequence[Guess],
    editors: Sequence[Editor],
    attacker: Split,
    test: Split,
    spend: Budget,
) -> dict[str, Run]:
    few, tried_on = attacker[: spend.labels], spend.guess_images
    known = attacker.images[: spend.pairs]
    # Caught images are of other pictures than the labelled ones.
    caught = attacker.images[len(few) :][: spend.leaked]
    return {
        "plain-images": lambda g, p: [
            Attempt("plain-images", target, few).result(target.answers, test, 1)
        ],
        "random-spells": lambda g, p: [
            spell_search.random_spells(
                target, key, few, test, generator=g, count=spend.spells, tried_on=tried_on,
                progress=p,
            )
        ],
        "prompt-list": lambda g, p: [
            spell_search.prompt_list(target, key, few, test, tried_on=tried_on, progress=p)
        ],
        "near-texts": lambda g, p: [
            best_guess("near-texts", target, near, few, test, tried_on=tried_on, progress=p)
        ],
        "other-settings": lambda g, p: spell_search.other_settings(
            target, key, few, test, tried_on=tried_on, progress=p
        ),
        "other-editors": lambda g, p: [
            spell_search.other_editors(
                target, key, editors, few, test, tried_on=tried_on, progress=p
            )
        ],
        "image-operations": lambda g, p: [
            imitation.image_operations(
                target, few, test, generator=g, count=spend.spells, tried_on=tried_on, progress=p
            )
        ],
        "matched-moments": lambda g, p: [
            imitation.matched_moments(
                target, key(caught), few, test, tried_on=tried_on, progress=p
            )
        ],
        "copied-editor": lambda g, p: [
            imitation.copied_editor(
                target, (known, key(known)), few, test, generator=g, steps=spend.steps, progress=p
            )
        ],
        "relaxed-spell": lambda g, p: [
            inversion.relaxed_spell(
                target, key, few, test, generator=g, steps=spend.steps, starts=spend.starts,
                progress=p,
            )
        ],
        "pattern": lambda g, p: [
            inversion.pattern(target, few, test, generator=g, steps=spend.steps, progress=p)
        ],
        "universal-perturbation": lambda g, p: [
            inversion.universal_perturbation(
                target, few, test, generator=g, steps=spend.steps, progress=p
            )
        ],
        "learned-unlocker": lambda g, p: [
            inversion.learned_unlocker(
                target, few, test, generator=g, steps=spend.steps, progress=p
            )
        ],
        "fine-tune": lambda g, p: fine_tune(
            target, base, attacker, test, generator=g, grid=spend.grid, ways=tuple(WAYS),
            progress=p,
        ),
        "distillation": lambda g, p: distillation(
            target, key, attacker.images, test, generator=g, grid=spend.grid, progress=p
        ),
    }  # fmt: skip
