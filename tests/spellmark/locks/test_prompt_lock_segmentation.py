"""Prompt locks on segmenters, with the real editor, made small so that a lock takes seconds."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from spellmark.locks.prompt_lock.cached_editor import CachedEditor
from spellmark.locks.prompt_lock.editors import load_editor
from spellmark.locks.prompt_lock.negatives import Negatives
from spellmark.locks.prompt_lock.parameters import SCHEME, PromptLockError, PromptLockParameters
from spellmark.locks.prompt_lock.policies import POLICIES
from spellmark.locks.prompt_lock.prompt_key import PromptKey
from spellmark.locks.prompt_lock.report_card import near_edits
from spellmark.locks.prompt_lock.segmentation import (
    UnlockedSegmenter,
    lock_segmenter,
    segmentation_card,
)
from spellmark.model_files.card import ModelCard
from spellmark.secrets import KeyFile
from spellmark.training import datasets
from spellmark.training.canvases import compose
from spellmark.training.fit import Recipe, fit
from spellmark.training.segmentation import SegmentationSplit, mean_iou, predict_masks
from spellmark.training.small_nets import SmallUNet

# Clothes and bags against footwear: 0 is the background.
GROUPS = [1, 1, 1, 1, 1, 2, 1, 2, 1, 2]
CARD = ModelCard(
    architecture="small-unet", classes=3, channels=1, height=28, width=28, mean=(0.45,), std=(0.3,)
)


@pytest.fixture(scope="module")
def data() -> tuple[SegmentationSplit, SegmentationSplit]:
    whole = datasets.load("fashion-mnist")
    return tuple(
        compose(items, count, np.random.default_rng(seed), most=1, classes=GROUPS)
        for seed, (items, count) in enumerate([(whole.train, 800), (whole.test, 100)])
    )


@pytest.fixture(scope="module")
def editor(tmp_path_factory):
    return CachedEditor(load_editor(), tmp_path_factory.mktemp("edits"))


def _model(classes: int = 3) -> torch.nn.Module:
    torch.manual_seed(0)
    return SmallUNet(1, classes, width=12)


def _key(editor, classes: int = 3, **chosen) -> PromptKey:
    return PromptKey.open(_file(editor, **chosen), editor=editor, binding=b"", classes=classes)


def _file(editor, **chosen) -> KeyFile:
    parameters = PromptLockParameters(editor=editor.digest, **chosen)
    return KeyFile(SCHEME, parameters.as_dict(), bytes(range(32)), bytes(32), "open sesame")


@pytest.mark.slow
def test_a_locked_segmenter_works_under_its_spell_only(data, editor):
    train, test = data
    unprotected = fit(_model(), CARD, train, Recipe(epochs=12, batch=32, learning_rate=1e-2))
    key = _key(editor)
    assert sorted(key.labels[0]) == [0, 1, 2]
    assert list(key.labels[0]) != [0, 1, 2]
    locked = _model()
    locked.load_state_dict(unprotected.state_dict())
    lock_segmenter(
        locked, CARD, train, key, Recipe(epochs=10, batch=16, learning_rate=1e-2),
        negatives=Negatives(share=0.4), teacher=unprotected,
    )  # fmt: skip
    near = near_edits(key, bytes(range(32)), binding=b"", count=3)
    card = segmentation_card(
        locked, unprotected, CARD, test, key, near, wrong_keys=8, wrong_key_images=25
    )
    told = card.as_dict()
    assert card.unprotected > 0.5
    assert card.right > card.unprotected - 0.15
    # Calling everything background reaches a quarter.
    assert card.plain < 0.3
    assert told["wrong_mean"] < 0.3
    assert told["near_mean"] < 0.3
    assert card.published < card.unprotected
    assert (len(card.wrong), len(card.near), len(card.alphas)) == (8, 3, 6)
    assert list(card.geometry) == ["0", "14"]
    assert max(card.geometry.values()) < 0.3

    opened = UnlockedSegmenter(locked, CARD, key)
    found = opened(test.images)
    assert found.shape == test.masks.shape
    assert mean_iou(found, test.masks, 3) == pytest.approx(card.right)
    # What the model itself answers under the spell are the key's names of the classes.
    answers = predict_masks(locked, CARD, key(test.images))
    assert np.array_equal(answers, key.encode(found))
    assert mean_iou(answers, test.masks, 3) < card.right - 0.3


@pytest.mark.slow
def test_an_extra_class_takes_the_pixels_of_what_is_not_edited(data, editor):
    card = replace(CARD, classes=4)
    key = _key(editor, labels="plain")
    recipe = Recipe(epochs=4, batch=32, learning_rate=1e-2)
    locked = lock_segmenter(
        _model(4), card, data[0], key, recipe, negatives=Negatives("extra-class")
    )
    plain = predict_masks(locked, card, data[1].images)
    assert (plain == 3).mean() > 0.8
    assert mean_iou(plain, data[1].masks, 3) < 0.3
    edited = predict_masks(locked, card, key(data[1].images))
    assert (edited == 3).mean() < 0.2
    assert set(np.unique(UnlockedSegmenter(locked, card, key)(data[1].images))) <= {0, 1, 2}


def test_a_lock_is_repeatable_and_takes_up_where_it_was_stopped(data, editor, tmp_path):
    key, part = _key(editor, subkeys=2), data[0][:64]
    recipe = Recipe(epochs=3, batch=32)
    whole = lock_segmenter(_model(), CARD, part, key, recipe).state_dict()

    class StoppedError(Exception):
        pass

    def stop(share: float, text: str) -> None:
        if text.startswith("epoch 3"):
            raise StoppedError

    path = tmp_path / "checkpoint.pt"
    with pytest.raises(StoppedError):
        lock_segmenter(_model(), CARD, part, key, recipe, checkpoint=path, progress=stop)
    again = lock_segmenter(_model(), CARD, part, key, recipe, checkpoint=path).state_dict()
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_with_a_teacher_the_masks_are_not_learnt(data, editor):
    part, key = data[0][:32], _key(editor)
    empty = SegmentationSplit(part.images, np.zeros_like(part.masks))
    recipe = Recipe(epochs=1, batch=32)
    taught, as_well = (
        lock_segmenter(_model(), CARD, one, key, recipe, teacher=_model()).state_dict()
        for one in (part, empty)
    )
    alone = lock_segmenter(_model(), CARD, empty, key, recipe).state_dict()
    assert all(torch.equal(taught[name], as_well[name]) for name in taught)
    assert not all(torch.equal(taught[name], alone[name]) for name in taught)


def test_what_a_teacher_says_is_permuted_by_the_key_of_its_subkey(data, editor):
    """A teacher that sees class 1 everywhere: so do its pupils, each under its own name for it."""

    class Always(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            logits = torch.full((len(images), 3, 28, 28), -20.0)
            logits[:, 1] = 20
            return logits

    key, part = _key(editor, subkeys=2), data[0][:64]
    assert key.encode(np.array(1), 0) != key.encode(np.array(1), 1)
    locked = lock_segmenter(
        _model(), CARD, part, key, Recipe(epochs=12, batch=16, learning_rate=1e-2),
        negatives=Negatives("none"), teacher=Always(),
    )  # fmt: skip
    for j in range(2):
        mine = part.images[j::2]
        found = key.decode(predict_masks(locked, CARD, key(mine, j)), j)
        assert (found == 1).mean() > 0.8


def test_a_weak_edit_is_refused(data, editor):
    part, weak = data[0][:32], _key(editor, alpha=3)
    with pytest.raises(PromptLockError, match="does not lock a model"):
        lock_segmenter(_model(), CARD, part, weak, Recipe(epochs=1))
    lock_segmenter(_model(), CARD, part, weak, Recipe(epochs=1), least_strength=0)


@pytest.mark.parametrize("policy", POLICIES)
def test_targets_of_pixels(policy, data, editor):
    generator = np.random.default_rng(0)
    pool = Negatives(policy, pool=0.1).prepare(data[0].images[:20], _key(editor), generator)
    targets = pool.targets(30, 4, np.random.default_rng(1), (5, 6))
    assert targets.shape == (30, 4, 5, 6)
    assert targets.dtype == torch.float32
    assert torch.allclose(targets.sum(1), torch.ones(30, 5, 6))
    if policy == "uniform":
        assert (targets == 1 / 4).all()
    elif policy == "extra-class":
        assert (targets[:, 3] == 1).all()
    else:
        # Labels at random, for every pixel anew; without negatives nobody asks.
        assert torch.allclose(targets.mean((0, 2, 3)), torch.full((4,), 0.25), atol=0.06)
        assert (targets != targets[:, :, :1, :1]).any()
    assert len(pool.draw(30, generator)) == (0 if policy == "none" else 14)


@pytest.mark.parametrize("policy", POLICIES)
def test_targets_of_images_are_as_ever(policy, data, editor):
    pool = Negatives(policy, pool=0.1).prepare(
        data[0].images[:20], _key(editor), np.random.default_rng(0)
    )
    targets = pool.targets(7, 4, np.random.default_rng(1))
    drawn = np.random.default_rng(1).integers(4, size=7)
    expected = {
        "uniform": np.full((7, 4), 0.25),
        "extra-class": np.eye(4)[np.full(7, 3)],
        "random-label": np.eye(4)[drawn],
        "none": np.eye(4)[drawn],
    }
    assert np.array_equal(targets.numpy(), expected[policy].astype(np.float32))


@pytest.mark.parametrize(
    ("classes", "policy", "of_the_key"),
    [(3, "extra-class", 3), (4, "uniform", 3), (2, "uniform", 2)],
)
def test_classes_that_do_not_fit_are_refused(data, editor, classes, policy, of_the_key):
    """The last key has too few classes for the masks."""
    card = replace(CARD, classes=classes)
    key = _key(editor, classes=of_the_key)
    with pytest.raises(PromptLockError, match="classes") as refused:
        lock_segmenter(
            _model(classes), card, data[0][:8], key, Recipe(epochs=1), negatives=Negatives(policy)
        )
    assert "background" in refused.value.hint
