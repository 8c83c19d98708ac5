import numpy as np

from spellmark.training.augment import shifted, vary

IMAGES = np.random.default_rng(0).integers(0, 256, (64, 3, 20, 30), np.uint8)


def test_it_keeps_shape_type_and_the_images_it_was_given():
    before = IMAGES.copy()
    varied = vary(IMAGES, np.random.default_rng(1))
    assert (varied.shape, varied.dtype) == (IMAGES.shape, np.uint8)
    assert np.array_equal(IMAGES, before)
    assert not np.array_equal(varied, IMAGES)


def test_it_is_repeatable():
    first, second = (vary(IMAGES, np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(first, second)


def test_about_half_are_mixed_and_no_value_leaves_the_range_of_its_parents():
    white = np.full((200, 1, 8, 8), 255, np.uint8)
    white[:100] = 0
    varied = vary(white, np.random.default_rng(2), most=0)
    flat = varied.reshape(200, -1)
    assert (flat == flat[:, :1]).all()
    grey = (flat[:, 0] > 0) & (flat[:, 0] < 255)
    # A mixed image is grey when its partner has the other colour: a quarter of them.
    assert 25 <= grey.sum() <= 75


def test_shifts_stay_within_their_reach():
    images = np.zeros((100, 1, 20, 20), np.uint8)
    images[:, :, 10, 10] = 200
    varied = vary(images, np.random.default_rng(3), most=0.1)
    _, _, rows, columns = np.nonzero(varied > 100)
    assert set(rows) <= set(range(8, 13))
    # Mirrored, column 10 of 20 becomes column 9.
    assert set(columns) <= set(range(7, 13))


def test_shifts_move_every_image_a_little_and_change_nothing_else():
    image = np.zeros((50, 1, 25, 25), np.uint8)
    image[:, :, 12, 12] = 255
    moved = shifted(image, np.random.default_rng(3))
    places = np.argwhere(moved[:, 0] == 255)
    assert len(places) == 50
    assert np.abs(places[:, 1:] - 12).max() == 2
    assert len(np.unique(places[:, 1:], axis=0)) > 10
