import numpy as np

from spellmark.attacks.extract.adaptive import adaptive, uncertain_and_apart
from spellmark.attacks.extract.api import Api
from spellmark.attacks.extract.training import Trainer
from tests.spellmark.attacks.extract.easy_guard import MLP, easy_guard


def test_every_image_is_asked_about_once_and_in_rounds():
    guard, asked = easy_guard(), []

    def answer(images):
        asked.append(images)
        return guard.api(images)

    api, seen = Api(answer), []
    pictures = guard.attacker.images[:300]
    adaptive(
        api, Trainer(MLP, 1, 1, 0), pictures,
        count=100, rounds=3, generator=np.random.default_rng(0),
        progress=lambda share, text: seen.append(share),
    )  # fmt: skip
    assert (api.queries, [len(part) for part in asked]) == (100, [33, 33, 34])
    assert len({image.tobytes() for part in asked for image in part}) == 100
    assert seen == sorted(seen)
    assert seen[-1] == 1


def test_it_asks_about_all_images_where_there_are_no_more():
    guard = easy_guard()
    api = Api(guard.api)
    adaptive(
        api, Trainer(MLP, 1, 1, 0), guard.attacker.images[:7],
        count=100, rounds=20, generator=np.random.default_rng(0),
    )  # fmt: skip
    assert api.queries == 7


def test_what_is_uncertain_comes_before_what_is_sure():
    sure = np.tile([0.98, 0.01, 0.01], (20, 1))
    open_ones = np.random.default_rng(0).dirichlet([20, 20, 20], 10)
    chosen = uncertain_and_apart(np.concatenate([sure, open_ones]), 5)
    assert len(set(chosen)) == 5
    assert min(chosen) >= 20


def test_what_is_alike_is_not_asked_twice():
    alike = np.tile([0.5, 0.5, 0.0], (10, 1))
    others = np.array([[0.5, 0.0, 0.5], [0.0, 0.5, 0.5]])
    chosen = uncertain_and_apart(np.concatenate([alike, others]), 6)
    assert {10, 11} <= set(chosen[:3])
    assert len(set(chosen)) == 6
