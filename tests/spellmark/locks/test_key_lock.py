"""Locks on real images, made small so that a lock takes seconds."""

from pathlib import Path

import numpy as np
import pytest
import torch

from spellmark.locks.key_lock.lock import lock
from spellmark.locks.key_lock.lock_key import LockKey
from spellmark.locks.key_lock.negatives import Negatives
from spellmark.locks.key_lock.parameters import LockParameters
from spellmark.locks.key_lock.report_card import report_card
from spellmark.model_files.card import ModelCard
from spellmark.training import architectures, datasets
from spellmark.training.datasets import Split
from spellmark.training.fit import Recipe, fit

DATA = Path(__file__).parents[3] / "data" / "fashion-mnist"
CARD = ModelCard(
    architecture="small-cnn", classes=10, channels=1, height=14, width=14, mean=(0.29,), std=(0.35,)
)


@pytest.fixture(scope="module")
def data() -> tuple[Split, Split]:
    whole = datasets.load_path(DATA)
    small = [Split(part.images[:, :, ::2, ::2], part.labels) for part in (whole.train, whole.test)]
    return small[0][:4000], small[1][:1000]


@pytest.fixture(scope="module")
def unprotected(data) -> torch.nn.Module:
    return fit(_model(), CARD, data[0], Recipe(epochs=4))


def _model() -> torch.nn.Module:
    torch.manual_seed(0)
    return architectures.build(CARD)


def _key(**parameters) -> LockKey:
    chosen = LockParameters(**{"block": 7, "steps": "shuffle+flip", **parameters})
    return LockKey.derive(
        bytes(range(32)), binding=b"", shape=(1, 14, 14), classes=10, parameters=chosen
    )


def _locked(unprotected, data, key, *, teacher=True, epochs=5, **options):
    model = _model()
    model.load_state_dict(unprotected.state_dict())
    recipe = Recipe(epochs=epochs, learning_rate=4e-3)
    return lock(model, CARD, data, key, recipe, teacher=unprotected if teacher else None, **options)


@pytest.mark.slow
@pytest.mark.parametrize("subkeys", [1, 2])
def test_a_locked_model_works_under_its_key_only(unprotected, data, subkeys):
    key = _key(subkeys=subkeys)
    locked = _locked(unprotected, data[0], key, epochs=5 * subkeys)
    card = report_card(locked, unprotected, CARD, data[1], key, wrong_keys=30)
    assert card.right > card.unprotected - 0.15
    assert card.plain < 0.35
    assert card.wrong_mean < 0.25
    assert card.wrong_mean <= card.wrong_p95 <= card.wrong_max == max(card.wrong)
    assert len(card.wrong) == card.wrong_keys == 30
    assert card.as_dict()["wrong"] == list(card.wrong)


@pytest.mark.slow
def test_the_published_recipe_works_under_its_key_and_hardly_locks(unprotected, data):
    key = _key(block=2, steps="shuffle", labels="plain")
    locked = _locked(unprotected, data[0], key, teacher=False, negatives=Negatives(share=0))
    card = report_card(locked, unprotected, CARD, data[1], key, wrong_keys=20)
    assert card.right > card.unprotected - 0.1
    assert card.wrong_mean > 0.5


@pytest.mark.slow
def test_a_fresh_model_is_locked_from_scratch(unprotected, data):
    key = _key(steps="flip")
    recipe = Recipe(epochs=8, learning_rate=4e-3)
    locked = lock(_model(), CARD, data[0], key, recipe)
    card = report_card(locked, unprotected, CARD, data[1], key, wrong_keys=20)
    assert card.right > card.unprotected - 0.15
    assert card.plain < 0.35
    assert card.wrong_mean < 0.25


@pytest.mark.slow
def test_a_lock_takes_up_where_it_was_stopped(unprotected, data, tmp_path):
    key, part = _key(), data[0][:600]
    whole = _locked(unprotected, part, key, epochs=3)
    path = tmp_path / "checkpoint.pt"

    class StoppedError(Exception):
        pass

    def stop(share: float, text: str) -> None:
        if share > 0.5:
            raise StoppedError

    with pytest.raises(StoppedError):
        _locked(unprotected, part, key, epochs=3, checkpoint=path, progress=stop)
    resumed = _locked(unprotected, part, key, epochs=3, checkpoint=path)
    for first, second in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(first, second)


@pytest.mark.parametrize("keys", ["shared", "block"])
def test_negatives_are_plain_wrong_and_near(data, keys):
    images, key = data[0][:50], _key(keys=keys, steps="flip")
    drawn = Negatives(share=2, near=0.5).draw(100, images, key, np.random.default_rng(0))
    assert drawn.shape == (200, 1, 14, 14)
    plain = {image.tobytes() for image in images.images}
    right = {image.tobytes() for image in key(images.images)}
    assert [image.tobytes() in plain for image in drawn[:100]] == [True] * 50 + [False] * 50
    assert not any(image.tobytes() in right for image in drawn)


def test_near_keys_have_at_most_the_named_share_right(data):
    key = _key(steps="flip", block=14)
    images = data[0][:1]
    near = Negatives(share=1, near=1, nearest=0.5).draw(64, images, key, np.random.default_rng(0))
    same = (near == key(images.images)).mean((1, 2, 3))
    # A wrong flip agrees on half of the values by chance: 0.5 + 0.5 × 0.5, and some spread.
    assert same.max() < 0.85
    assert same.min() < 0.6


def test_no_negatives_is_the_published_recipe(data):
    drawn = Negatives(share=0).draw(128, data[0], _key(), np.random.default_rng(0))
    assert drawn.shape == (0, 1, 14, 14)


def test_negatives_are_padded_like_keyed_images(data):
    key = LockKey.derive(
        bytes(32),
        binding=b"",
        shape=(1, 14, 14),
        classes=10,
        parameters=LockParameters(block=4, steps="shuffle", padding="edge"),
    )
    drawn = Negatives(share=1).draw(16, data[0], key, np.random.default_rng(0))
    assert drawn.shape == (16, 1, 16, 16)
