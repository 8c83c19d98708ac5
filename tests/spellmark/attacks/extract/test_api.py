import numpy as np

from spellmark.attacks.extract.api import Api, changed, mean_of, over_copies

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 1, 12, 12), np.uint8)


def _brightness(images):
    share = images.mean((1, 2, 3)) / 255
    return np.stack([share, 1 - share], 1)


def test_an_api_counts_every_image():
    api = Api(_brightness)
    assert np.array_equal(api(IMAGES), _brightness(IMAGES))
    api(IMAGES[:2])
    assert api.queries == 8


def test_changed_answers_cost_the_same():
    api = Api(_brightness)
    told = changed(api, lambda answers: answers[:, ::-1])(IMAGES)
    assert np.array_equal(told, _brightness(IMAGES)[:, ::-1])
    assert api.queries == 6


def test_two_apis_are_both_asked_and_averaged():
    one, other = Api(_brightness), Api(lambda images: np.full((len(images), 2), 0.5))
    told = mean_of([one, other])(IMAGES)
    assert np.allclose(told, (_brightness(IMAGES) + 0.5) / 2)
    assert (one.queries, other.queries) == (6, 6)


def test_three_copies_of_each_image_are_asked_about():
    asked = []

    def answer(images):
        asked.append(images)
        return _brightness(images)

    api = Api(answer)
    told = over_copies(api, np.random.default_rng(1))(IMAGES)
    assert api.queries == 18
    assert not any(np.array_equal(copies, IMAGES) for copies in asked)
    assert np.allclose(told, np.mean([_brightness(copies) for copies in asked], axis=0))
