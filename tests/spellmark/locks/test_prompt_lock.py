"""Prompt locks on real images with the real editor, made small so that a lock takes seconds."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from spellmark.locks.prompt_lock import prompts
from spellmark.locks.prompt_lock.cached_editor import CachedEditor
from spellmark.locks.prompt_lock.editors import Editor, load_editor
from spellmark.locks.prompt_lock.lock import lock
from spellmark.locks.prompt_lock.negatives import Negatives
from spellmark.locks.prompt_lock.parameters import SCHEME, PromptLockError, PromptLockParameters
from spellmark.locks.prompt_lock.prompt_key import PromptKey
from spellmark.locks.prompt_lock.report_card import near_edits, report_card
from spellmark.locks.unlock import BindingError, open_key, unlock
from spellmark.model_files.card import ModelCard
from spellmark.secrets import KeyFile
from spellmark.training import architectures, datasets, weights
from spellmark.training.datasets import Split
from spellmark.training.fit import Recipe, fit
from spellmark.training.inference import accuracy

CARD = ModelCard(
    architecture="small-cnn", classes=10, channels=1, height=28, width=28, mean=(0.29,), std=(0.35,)
)
RECIPE = Recipe(epochs=4, learning_rate=4e-3)


@pytest.fixture(scope="module")
def data() -> tuple[Split, Split]:
    whole = datasets.load("fashion-mnist")
    return whole.train[:3000], whole.test[:500]


@pytest.fixture(scope="module")
def unprotected(data) -> torch.nn.Module:
    return fit(_model(), CARD, data[0], Recipe(epochs=4))


@pytest.fixture(scope="module")
def editor(tmp_path_factory):
    return CachedEditor(load_editor(), tmp_path_factory.mktemp("edits"))


def _model(classes: int = 10) -> torch.nn.Module:
    torch.manual_seed(0)
    return architectures.build(replace(CARD, classes=classes))


def _file(editor, **chosen) -> KeyFile:
    parameters = PromptLockParameters(editor=editor.digest, **chosen)
    return KeyFile(SCHEME, parameters.as_dict(), bytes(range(32)), bytes(32), "open sesame")


def _locked(unprotected, data, key, **options):
    model = _model()
    model.load_state_dict(unprotected.state_dict())
    return lock(model, CARD, data, key, options.pop("recipe", RECIPE), **options)


@pytest.mark.slow
@pytest.mark.parametrize("subkeys", [1, 2])
def test_a_locked_model_works_under_its_spell_only(unprotected, data, editor, subkeys, tmp_path):
    file = _file(editor, subkeys=subkeys)
    key = PromptKey.open(file, editor=editor, binding=bytes.fromhex(file.commitment()), classes=10)
    recipe = Recipe(epochs=5 * subkeys, learning_rate=4e-3)
    locked = _locked(unprotected, data[0], key, recipe=recipe)
    near = near_edits(key, file.secret, binding=bytes.fromhex(file.commitment()), count=10)
    card = report_card(
        locked, unprotected, CARD, data[1], key, near, wrong_keys=20, wrong_key_images=100
    )
    told = card.as_dict()
    assert card.right > card.unprotected - 0.08
    assert card.plain < 0.3
    assert told["wrong_mean"] < 0.2
    assert told["near_mean"] < 0.2
    assert told["prompts_mean"] < 0.25
    assert np.mean(list(card.held_out_operations.values())) < 0.3
    # Resized and back a plain image is another one, but none that unlocks.
    assert list(card.geometry) == ["0", "14"]
    assert max(card.geometry.values()) < 0.3
    assert card.published < card.unprotected - 0.2
    assert len(card.wrong) == 20
    assert len(card.near) == 10

    weights.save(locked, CARD, tmp_path / "locked.safetensors")
    file.save(tmp_path / "owner.spellkey")
    opened = unlock(tmp_path / "locked.safetensors", tmp_path / "owner.spellkey")
    assert (opened(data[1].images) == data[1].labels).mean() == pytest.approx(
        (key.decode(_answers(locked, key(data[1].images))) == data[1].labels).mean()
    )
    assert np.allclose(opened.probabilities(data[1].images[:3]).sum(1), 1)


def _answers(model: torch.nn.Module, images: np.ndarray) -> np.ndarray:
    from spellmark.training.inference import predict_labels

    return predict_labels(model, CARD, images)


@pytest.mark.slow
def test_as_published_a_strong_edit_alone_locks_weakly(unprotected, data, editor):
    """Edited images only (2405.16285): plain images still work far better than by chance."""
    key = PromptKey.open(_file(editor, labels="plain"), editor=editor, binding=b"", classes=10)
    locked = _locked(unprotected, data[0], key, negatives=Negatives("none"))
    assert accuracy(locked, CARD, key(data[1].images), data[1].labels) > 0.75
    assert accuracy(locked, CARD, data[1].images, data[1].labels) > 0.3


@pytest.mark.slow
def test_an_extra_class_takes_what_is_not_edited(unprotected, data, editor):
    card = replace(CARD, classes=11)
    key = PromptKey.open(_file(editor, labels="plain"), editor=editor, binding=b"", classes=10)
    locked = lock(_model(11), card, data[0], key, RECIPE, negatives=Negatives("extra-class"))
    answers = torch.from_numpy(data[1].images).float().div(255).sub(0.29).div(0.35)
    with torch.inference_mode():
        assert (locked(answers).argmax(1) == 10).float().mean() > 0.8


@pytest.mark.slow
def test_a_lock_takes_up_where_it_was_stopped(unprotected, data, editor, tmp_path):
    key = PromptKey.open(_file(editor), editor=editor, binding=b"", classes=10)
    part, recipe = data[0][:600], Recipe(epochs=3)
    whole = _locked(unprotected, part, key, recipe=recipe)

    class StoppedError(Exception):
        pass

    def stop(share: float, text: str) -> None:
        if share > 0.7:
            raise StoppedError

    path = tmp_path / "checkpoint.pt"
    with pytest.raises(StoppedError):
        _locked(unprotected, part, key, recipe=recipe, checkpoint=path, progress=stop)
    again = _locked(unprotected, part, key, recipe=recipe, checkpoint=path)
    for name, weight in whole.state_dict().items():
        assert torch.equal(weight, again.state_dict()[name]), name


def _of_prompt(editor, prompt: str) -> PromptKey:
    file = replace(_file(editor, reading="prompt"), prompt=prompt)
    return PromptKey.open(file, editor=editor, binding=b"", classes=10)


def test_a_weak_edit_is_refused_before_any_training(data, editor):
    key, model, few = _of_prompt(editor, "with brighter highlights"), _model(), data[0][:32]
    with pytest.raises(PromptLockError, match="does not lock a model; it takes 6%"):
        lock(model, CARD, few, key, Recipe(epochs=1))
    assert all(map(torch.equal, model.parameters(), _model().parameters()))
    # Whoever wants to see how little it locks can.
    lock(model, CARD, few, key, Recipe(epochs=1), negatives=Negatives("none"), least_strength=0)
    assert not all(map(torch.equal, model.parameters(), _model().parameters()))


@pytest.mark.parametrize(
    ("prompt", "policy", "cautious"),
    [
        ("with oil pastel", "none", True),
        ("with oil pastel", "uniform", False),
        ("with inverted tones", "none", False),
    ],
)
def test_what_is_too_weak_without_negatives_is_told(data, editor, prompt, policy, cautious):
    said = []
    lock(
        _model(), CARD, data[0][:32], _of_prompt(editor, prompt), Recipe(epochs=1),
        negatives=Negatives(policy), progress=lambda _share, text: said.append(text),
    )  # fmt: skip
    assert any("withholds next to nothing" in text for text in said) == cautious


def _small_card(editor, prompt: str, reading: str) -> tuple[dict, list[str]]:
    """The report card of a model that knows nothing, and what is said on the way."""
    file = replace(_file(editor, reading=reading), prompt=prompt)
    key = PromptKey.open(file, editor=editor, binding=b"", classes=10)
    test = datasets.load("fashion-mnist").test
    near, said = near_edits(key, file.secret, binding=b"", count=5), []
    card = report_card(
        _model(), _model(), CARD, test[:2], key, near, wrong_keys=1, wrong_key_images=2,
        progress=lambda _share, text: said.append(text),
    )  # fmt: skip
    return card.as_dict(), said


def _shape(told: object) -> object:
    if isinstance(told, dict):
        return {name: _shape(part) for name, part in told.items()}
    return len(told) if isinstance(told, list) else type(told)


@pytest.mark.parametrize("prompt", ["as a relief", "add a fish to the background", "with wax"])
def test_a_report_card_does_not_tell_which_listed_prompt_is_the_key(editor, prompt):
    listed, said = _small_card(editor, prompt, "prompt")
    other, said_of_other = _small_card(editor, "as a dream", "prompt")
    assert _shape(listed) == _shape(other)
    assert listed["prompts_tried"] == other["prompts_tried"] > 40
    assert said == said_of_other
    assert not any(text in str(listed) for text in prompts.HELD_OUT)


def test_the_control_goes_the_way_of_an_edit(editor):
    """The way of an edit of nothing at all: what differs from the image, the editor's size made."""
    images = np.random.default_rng(0).integers(0, 256, (70, 1, 26, 30), np.uint8)
    for size, changes in ((0, False), (16, True)):
        settings = PromptLockParameters(editor=editor.digest, size=size)
        with pytest.MonkeyPatch.context() as patch:
            # A pipeline that gives back what it gets.
            patch.setattr(
                editor, "_ready", lambda *_: lambda **given: SimpleNamespace(images=given["image"])
            )
            edited = Editor.edit(editor, images, [np.zeros(editor.width)], settings)
        control = editor.unedited(images, settings)
        assert np.array_equal(control, edited)
        assert (not np.array_equal(control, images)) == changes


def test_beside_a_spell_all_listed_prompts_stand_by_name(editor):
    """Even where the spell's text is one of them: hashed, it asks for another edit."""
    told, _ = _small_card(editor, "as a relief", "spell")
    assert list(told["prompts"]) == [*prompts.HELD_OUT]
    assert told["prompts_tried"] == len(prompts.HELD_OUT)


def test_keys_of_both_locks_are_opened(editor):
    opened = open_key(_file(editor), shape=(1, 28, 28), classes=10, binding=b"registry")
    direct = PromptKey.open(_file(editor), editor=editor, binding=b"registry", classes=10)
    images = np.random.default_rng(0).integers(0, 256, (3, 1, 28, 28), np.uint8)
    assert np.array_equal(opened(images), direct(images))
    assert np.array_equal(opened.labels, direct.labels)


def test_a_locked_model_tells_its_binding(editor, tmp_path):
    """Without the registry's binding the key would open to other edits, and answers to nonsense."""
    path, file = tmp_path / "locked.safetensors", _file(editor)
    images = np.random.default_rng(0).integers(0, 256, (3, 1, 28, 28), np.uint8)

    def edited(binding: bytes) -> np.ndarray:
        return PromptKey.open(file, editor=editor, binding=binding, classes=10)(images)

    weights.save(_model(), replace(CARD, binding=b"registry".hex()), path)
    for given in ({}, {"binding": b"registry"}):
        assert np.array_equal(unlock(path, file, **given).key(images), edited(b"registry"))
    with pytest.raises(BindingError, match="locked under another binding") as refused:
        unlock(path, file, binding=b"other")
    assert "Leave the binding out" in refused.value.hint

    # Models from before their cards told it.
    weights.save(_model(), CARD, path)
    commitment = bytes.fromhex(file.commitment())
    for given, meant in (({}, commitment), ({"binding": b"registry"}, b"registry")):
        assert np.array_equal(unlock(path, file, **given).key(images), edited(meant))
