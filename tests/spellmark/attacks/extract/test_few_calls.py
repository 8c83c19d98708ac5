import numpy as np
import pytest

from spellmark.attacks.extract import answers
from spellmark.attacks.extract.api import Api
from spellmark.attacks.extract.few_calls import by_neighbours, few_calls, near_means
from spellmark.attacks.extract.training import Trainer
from spellmark.training.inference import accuracy
from tests.spellmark.attacks.extract.easy_guard import MLP, easy_guard


@pytest.mark.parametrize("count", [40, 101])
def test_half_is_asked_at_random_and_each_round_takes_half_of_the_rest(count):
    guard, asked, trained = easy_guard(), [], []

    def answer(images):
        asked.append(len(images))
        return guard.api(images)

    class Watched(Trainer):
        def __call__(self, images, targets, **options):
            trained.append((images, targets))
            return super().__call__(images, targets, **options)

    few_calls(
        answer, Watched(MLP, 1, 1, 0), guard.attacker.images[:200],
        count=count, rounds=3, generator=np.random.default_rng(0),
    )  # fmt: skip
    assert asked == {40: [20, 10, 5, 5], 101: [51, 25, 13, 12]}[count]
    # In the end it learns from all images, each of them once.
    images, targets = trained[-1]
    assert len({image.tobytes() for image in images}) == 200
    assert targets.shape == (200, 10)
    assert np.allclose(targets.sum(1), 1)
    assert np.array_equal(targets[:count], guard.api(images[:count]))


def test_hard_answers_make_hard_guesses_and_all_images_may_be_asked_about():
    guard, trained = easy_guard(), []

    class Watched(Trainer):
        def __call__(self, images, targets, **options):
            trained.append(targets)
            return super().__call__(images, targets, **options)

    for few in (30, 60):
        few_calls(
            guard.api, Watched(MLP, 1, 1, 0), guard.attacker.images[:60],
            count=few, rounds=2, generator=np.random.default_rng(0), change=answers.labels_only,
        )  # fmt: skip
        assert len(trained[-1]) == 60
    assert all(set(np.unique(targets)) == {0, 1} for targets in trained)


def test_few_calls_are_worth_something():
    guard = easy_guard()
    api = Api(guard.api)
    model = few_calls(
        api, Trainer(MLP, 1, 100, 0), guard.attacker.images[:800],
        count=100, rounds=2, generator=np.random.default_rng(0),
    )  # fmt: skip
    assert api.queries == 100
    assert accuracy(model, MLP, guard.test.images, guard.test.labels) > 0.55


def test_images_near_the_mean_of_their_class_are_likelier():
    seen = np.array([[0.0, 0], [1, 0], [-1, 0], [9, 9], [9, 10], [9, 14]])
    chances = near_means(seen, np.array([0, 0, 0, 1, 1, 1]))
    assert chances.sum() == pytest.approx(1)
    assert chances[0] == chances[:3].max()
    assert chances[5] == chances.min()
    # The same under another scale of the features.
    assert np.allclose(chances, near_means(7 * seen, np.array([0, 0, 0, 1, 1, 1])))


def test_neighbours_are_found_by_direction():
    known = np.array([[1.0, 0.01 * n] for n in range(5)] + [[0.01 * n, 1.0] for n in range(5)])
    told = np.array([[1.0, 0]] * 5 + [[0, 1.0]] * 5)
    guessed = by_neighbours(known, told, np.array([[50.0, 1.0], [0.001, 0.2], [3.0, 3.0]]))
    assert np.array_equal(guessed[:2], [[1, 0], [0, 1]])
    assert guessed[2].sum() == pytest.approx(1)
    # Fewer than five are all there is.
    assert np.array_equal(by_neighbours(known[:1], told[:1], known[5:7]), [[1, 0], [1, 0]])
