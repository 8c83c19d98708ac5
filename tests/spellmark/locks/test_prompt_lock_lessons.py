import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from spellmark.locks.prompt_lock.lessons import CODE, STYLES, screen
from spellmark.locks.prompt_lock.objects import OBJECTS, SIDE
from spellmark.locks.prompt_lock.pictures import pictures

NO_PHOTOS = np.empty((0, 3, 28, 28), np.uint8)


@pytest.mark.parametrize("name", [*STYLES, *OBJECTS])
@pytest.mark.parametrize("shape", [(2, 3, 28, 28), (1, 3, 9, 13), (1, 3, 33, 40)])
def test_an_edit_gives_an_image_of_the_same_shape_and_keeps_its_input(name, shape):
    images = np.random.default_rng(0).random(shape, np.float32)
    kept = images.copy()
    edited = {**STYLES, **OBJECTS}[name](images)
    assert edited.shape == shape
    assert edited.dtype == np.float32
    assert edited.min() >= 0
    assert edited.max() <= 1 + 1e-6
    assert np.array_equal(images, kept)


def test_there_are_enough_lessons_and_no_two_are_alike():
    images = pictures(16, 28, np.random.default_rng(0), NO_PHOTOS)
    edited = [edit(images) for edit in (*STYLES.values(), *OBJECTS.values())]
    assert len(STYLES) >= 20
    assert len(OBJECTS) >= 10
    for number, one in enumerate(edited):
        assert all(np.abs(one - other).max() > 0.05 for other in edited[:number])


@pytest.mark.parametrize("name", OBJECTS)
def test_an_object_stands_in_one_corner(name):
    images = np.full((1, 3, 28, 28), 0.5, np.float32)
    changed = (OBJECTS[name](images) != images).any((0, 1))
    assert 10 < changed.sum() < SIDE * SIDE
    rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
    assert rows.max() < SIDE or rows.min() >= 28 - SIDE
    assert columns.max() < SIDE or columns.min() >= 28 - SIDE


@settings(deadline=None)
@given(arrays(np.float64, CODE, elements=st.floats(-50, 50)))
def test_a_screen_keeps_the_order_of_tones_in_the_blend(code):
    """At every place a brighter pixel stays brighter, so little is lost for a classifier."""
    tones = np.linspace(0, 1, 9, dtype=np.float32)
    images = np.broadcast_to(tones[:, None, None, None], (9, 3, 8, 8))
    blended = (images + screen(images, code)) / 2
    assert (np.diff(blended, axis=0) > 0).all()


def test_a_batch_of_codes_is_one_screen_an_image():
    generator = np.random.default_rng(0)
    images, codes = generator.random((3, 3, 10, 14), np.float32), generator.standard_normal((3, 32))
    one_by_one = [screen(images[n : n + 1], codes[n]) for n in range(3)]
    assert np.array_equal(screen(images, codes), np.concatenate(one_by_one))


@pytest.mark.parametrize("side", [28, 32, 45])
def test_pictures_are_of_the_size_asked_for(side):
    photos = np.random.default_rng(0).integers(0, 256, (5, 1, side, side), np.uint8)
    for given_photos in (photos, photos[:0]):
        drawn = pictures(40, side, np.random.default_rng(1), given_photos)
        assert drawn.shape == (40, 3, side, side)
        assert drawn.min() >= 0
        assert drawn.max() <= 1
        assert drawn.std() > 0.1
