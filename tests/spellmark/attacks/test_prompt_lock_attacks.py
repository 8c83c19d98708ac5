import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from spellmark.attacks.attack import AttackError, AttackResult, Target
from spellmark.attacks.prompt_lock import imitation, spell_search, suite
from spellmark.attacks.prompt_lock.catalogue import ATTACKS, Budget
from spellmark.attacks.prompt_lock.guesses import best_guess
from spellmark.attacks.prompt_lock.inversion import RelaxedSpell
from spellmark.attacks.prompt_lock.spell_search import LISTED
from spellmark.attacks.prompt_lock.suite import RealClasses, run_suite
from spellmark.locks.prompt_lock import tiny_editor
from spellmark.locks.prompt_lock.editors import Editor, load_editor
from spellmark.locks.prompt_lock.parameters import SCHEME, PromptLockParameters
from spellmark.locks.prompt_lock.prompt_key import PromptKey
from spellmark.locks.prompt_lock.report_card import near_edits
from spellmark.secrets import KeyFile
from spellmark.training.datasets import Split
from tests.spellmark.attacks.easy_spells import CARD, easy_spell, fresh_model

FINE_TUNED = {
    "fine-tune-locked", "fine-tune-head", "fine-tune-norms", "from-scratch", "fine-tune-base",
}  # fmt: skip
SETTINGS = {"other-seed", "other-steps", "other-scheduler", "other-guidance", "other-alpha"}


@pytest.fixture
def tiny(monkeypatch):
    budget = Budget(
        spells=3, guess_images=20, steps=3, starts=2, labels=60, leaked=60, pairs=5, grid=(50,)
    )
    monkeypatch.setitem(suite.BUDGETS, "quick", budget)


def _run(spell, *names: str, budget: str = "quick", **options):
    return run_suite(
        spell.target.model, None, CARD, spell.key, spell.attacker, spell.test,
        attacks=names, budget=budget, **options,
    )  # fmt: skip


@pytest.mark.slow
def test_every_attack_of_the_catalogue_runs_and_tells_nothing_of_the_spell(tiny):
    spell, seen = easy_spell(), []
    torch.manual_seed(1)
    stranger = Editor(tiny_editor.build(), "0" * 64)
    near = near_edits(spell.key, spell.file.secret, binding=b"", count=3)
    results = run_suite(
        spell.target.model, fresh_model(), CARD, spell.key, spell.attacker, spell.test[:50],
        near=near, editors=[stranger], progress=lambda share, text: seen.append((share, text)),
    )  # fmt: skip
    names = set(ATTACKS) - {"fine-tune", "other-settings"} | FINE_TUNED | SETTINGS
    assert {result.name for result in results} == names
    assert all(0 <= result.accuracy <= 1 and result.evaluations > 0 for result in results)
    tried = next(result for result in results if result.name == "other-editors")
    assert tried.details == {"editors": ["0" * 12]}
    told = json.dumps([asdict(result) for result in results])
    assert "sesame" not in told
    shares = [share for share, _ in seen]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    # Attacks of one evaluation are over before they could tell.
    assert {text.split(":")[0] for _, text in seen} >= set(ATTACKS) - {
        "plain-images", "matched-moments",
    }  # fmt: skip


def test_a_prompt_is_read_by_the_other_editor_itself(monkeypatch):
    """A spell is the same numbers in every editor; words are what the editor makes of them."""
    own, tried, none = load_editor(), [], Split(np.zeros((0, 1, 4, 4), np.uint8), np.zeros(0, int))
    torch.manual_seed(1)
    stranger = Editor(tiny_editor.build(), "0" * 64)

    def note(name, target, guesses, *_, **__):
        tried.extend(guesses)
        return AttackResult(name, 0, 0, 1, 0)

    monkeypatch.setattr(spell_search, "best_guess", note)

    def opened(reading: str) -> PromptKey:
        parameters = PromptLockParameters(editor=own.digest, reading=reading).as_dict()
        file = KeyFile(SCHEME, parameters, bytes(32), bytes(32), "at night")
        return PromptKey.open(file, editor=own, binding=b"", classes=10)

    words, spell = opened("prompt"), opened("spell")
    for key in (words, spell):
        target = Target(torch.nn.Identity(), CARD, key.parameters)
        spell_search.other_editors(target, key, [own, stranger], none, none, tried_on=1)
    assert [edit.editor for edit in tried] == [stranger, stranger]
    assert np.array_equal(tried[0].embedding, stranger.read("at night"))
    assert not np.array_equal(tried[0].embedding, words.transforms[0].embedding)
    assert np.array_equal(tried[1].embedding, spell.transforms[0].embedding)


def test_an_attack_gives_the_same_alone_as_among_others(tiny):
    spell = easy_spell()
    both = {result.name: result.accuracy for result in _run(spell, "random-spells", "pattern")}
    assert list(both) == ["random-spells", "pattern"]
    assert _run(spell, "pattern")[0].accuracy == both["pattern"]


def test_attacks_that_cannot_be_run_are_left_out_unless_they_are_named(tiny):
    spell = easy_spell()
    with pytest.raises(AttackError, match="nothing to try for “near-texts”"):
        _run(spell, "near-texts")
    with pytest.raises(AttackError, match="nothing to try for “other-editors”"):
        # The lock's own editor is no other.
        _run(spell, "other-editors", editors=[spell.key.editor])
    with pytest.raises(AttackError, match="no attack “bribery”"):
        _run(spell, "bribery")


@pytest.mark.slow
def test_plain_images_reach_little_and_caught_ones_open_the_lock():
    spell = easy_spell()
    reached = {
        result.name: result.accuracy
        for result in _run(spell, "plain-images", "matched-moments", "distillation")
    }
    assert spell.right > 0.65
    assert reached["plain-images"] < 0.35
    # What the docs admit: moments of edited images are nearly as good as the spell.
    assert reached["matched-moments"] > reached["plain-images"] + 0.2
    assert reached["distillation"] > 0.4


def test_another_share_of_the_blend_is_found():
    spell = easy_spell()
    results = {result.name: result for result in _run(spell, "other-settings")}
    assert set(results) == SETTINGS
    assert results["other-alpha"].accuracy > spell.right - 0.15
    assert results["other-alpha"].evaluations == 9


def test_the_relaxed_spell_is_the_editors_own_edit():
    spell = easy_spell()
    front = RelaxedSpell(spell.key, np.random.default_rng(0))
    front.embedding.data = torch.from_numpy(spell.key.transforms[0].embedding).float()
    images = spell.test.images[:20]
    real = spell.key(images).astype(int)
    # Blend and edit are each rounded once on the way.
    assert np.abs(imitation.through(front, images).astype(int) - real).max() <= 2
    assert not any(part.requires_grad for part in front.unet.parameters())


@pytest.mark.parametrize("changed", [{"steps": 2}, {"guidance": "4.5"}, {"size": 32}])
def test_the_relaxed_spell_refuses_editors_it_does_not_know(changed):
    key = easy_spell().key
    other = replace(key, parameters=replace(key.parameters, **changed))
    with pytest.raises(AttackError, match="one step"):
        RelaxedSpell(other, np.random.default_rng(0))


def test_an_operation_has_one_strength_for_all_images():
    spell = easy_spell()
    for guess in imitation.RandomOperations(10, np.random.default_rng(0)):
        whole = guess(spell.test.images[:6])
        assert whole.shape == (6, 1, 16, 16)
        assert whole.dtype == np.uint8
        if np.array_equal(guess(spell.test.images[:6]), whole):
            continue
        pytest.fail("an operation differs from call to call")


def test_matched_pixels_undo_any_rising_line_at_each_pixel():
    generator = np.random.default_rng(0)
    plain = generator.integers(40, 200, (500, 1, 4, 4)).astype(np.uint8)
    slopes, shifts = generator.uniform(0.3, 0.9, (4, 4)), generator.uniform(0, 20, (4, 4))
    leaked = np.round(plain[:250] * slopes + shifts).astype(np.uint8)
    found = imitation._matched_pixels(plain, leaked)(plain[250:])
    wanted = plain[250:] * slopes + shifts
    assert np.abs(found - wanted).mean() < 6


def test_a_matched_covariance_is_the_caught_images_own():
    generator = np.random.default_rng(0)
    plain = generator.integers(100, 150, (2000, 1, 2, 2)).astype(np.uint8)
    mixed = generator.normal(0, 20, (2000, 4)) @ generator.uniform(-0.5, 0.5, (4, 4)) + 120
    leaked = np.clip(np.round(mixed), 0, 255).astype(np.uint8).reshape(-1, 1, 2, 2)
    found = imitation._matched_covariance(plain, leaked)(plain).reshape(2000, 4)
    assert np.allclose(np.cov(found.T), np.cov(leaked.reshape(2000, 4).T), atol=25)
    assert np.allclose(found.mean(0), leaked.reshape(2000, 4).mean(0), atol=1)


def test_moments_and_copies_need_something_to_learn_from():
    spell = easy_spell()
    none, few = spell.attacker.images[:0], spell.attacker[:10]
    with pytest.raises(AttackError, match="Two caught images"):
        imitation.matched_moments(spell.target, none, few, spell.test, tried_on=5)
    with pytest.raises(AttackError, match="no pairs"):
        imitation.copied_editor(
            spell.target, (none, none), few, spell.test,
            generator=np.random.default_rng(0), steps=1,
        )  # fmt: skip


def test_the_best_guess_is_kept():
    spell = easy_spell()
    guesses = [lambda images: images, spell.key, lambda images: 255 - images]
    result = best_guess(
        "guess", spell.target, guesses, spell.attacker[:200], spell.test, tried_on=60
    )
    assert result.accuracy > spell.right - 0.05
    assert (result.evaluations, result.labels_used) == (3, 200)


def test_the_logits_of_an_extra_class_are_cut_off():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(256, 11))
    images = torch.randn(3, 1, 16, 16)
    assert torch.equal(RealClasses(model, 10)(images), model(images)[:, :10])


@pytest.mark.slow
def test_an_extra_class_is_cut_off_before_all_attacks(tiny):
    spell = easy_spell()
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(256, 11))
    card = replace(CARD, classes=11)
    results = run_suite(
        model, None, card, spell.key, spell.attacker, spell.test,
        attacks=["plain-images", "universal-perturbation"],
    )  # fmt: skip
    assert len(results) == 2


def test_the_list_holds_what_the_editor_was_trained_for():
    assert {"with oil pastel", "add a moon to the background"} <= set(LISTED)
    assert len(set(LISTED)) >= 70


def test_a_target_of_a_prompt_lock_takes_images_as_they_are():
    spell = easy_spell()
    images = spell.test.images[:2]
    assert Target(spell.target.model, CARD, spell.key.parameters).prepared(images) is images
