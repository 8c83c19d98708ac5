import numpy as np
import pytest

from spellmark.attacks.attack import AttackError
from spellmark.attacks.extract import queries
from spellmark.attacks.extract.queries import fitted, invented
from spellmark.model_files.card import ModelCard

OTHERS = np.random.default_rng(0).integers(0, 256, (40, 3, 12, 16), np.uint8)


def test_images_are_invented_in_the_form_of_others():
    made = invented(OTHERS, 100, np.random.default_rng(1))
    assert (made.shape, made.dtype) == ((100, 3, 12, 16), np.uint8)
    assert np.array_equal(made, invented(OTHERS, 100, np.random.default_rng(1)))
    assert len(np.unique(made.reshape(100, -1), axis=0)) == 100
    given = {image.tobytes() for image in OTHERS}
    assert not any(image.tobytes() in given for image in made)
    with pytest.raises(AttackError, match="nothing to make images from"):
        invented(OTHERS[:0], 3, np.random.default_rng(1))


def test_patches_are_whole_pieces_of_images():
    plain = np.arange(10, dtype=np.uint8)[:, None, None, None] * np.ones((1, 1, 8, 8), np.uint8)
    made = queries._patches(plain, 50, np.random.default_rng(2))
    # The corners come from four images, the middle from no other one.
    for image in made[:, 0]:
        corners = {image[0, 0], image[0, -1], image[-1, 0], image[-1, -1]}
        assert set(image.flat) == corners


def test_blends_lie_between_two_images():
    ends = np.zeros((2, 1, 4, 4), np.uint8)
    ends[1] = 200
    made = queries._blends(ends, 60, np.random.default_rng(3)).reshape(60, -1)
    assert (made == made[:, :1]).all()
    assert len(np.unique(made)) > 10
    assert made.max() <= 200


def test_noise_is_as_bright_and_smooth():
    grey = np.random.default_rng(4).normal(120, 25, (50, 1, 28, 28)).round().astype(np.uint8)
    made = queries._noise(grey, 200, np.random.default_rng(5)).astype(float)
    assert abs(made.mean() - 120) < 5
    assert 10 < made.std() < 30
    assert np.abs(np.diff(made, axis=3)).mean() < made.std() / 2


@pytest.mark.parametrize(("channels", "height", "width"), [(1, 28, 20), (3, 12, 16), (3, 8, 8)])
def test_other_images_are_made_to_fit(channels, height, width):
    card = ModelCard(
        architecture="small-cnn", classes=2, channels=channels, height=height, width=width
    )
    found = fitted(OTHERS, card)
    assert (found.shape, found.dtype) == ((40, channels, height, width), np.uint8)
    assert abs(found.mean() - OTHERS.mean()) < 3
    if (channels, height, width) == OTHERS.shape[1:]:
        assert np.array_equal(found, OTHERS)


def test_grey_images_get_three_equal_channels():
    card = ModelCard(architecture="small-cnn", classes=2, channels=3, height=12, width=16)
    found = fitted(OTHERS[:, :1], card)
    assert np.array_equal(found, np.repeat(OTHERS[:, :1], 3, axis=1))
