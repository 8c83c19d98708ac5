import numpy as np
import pytest

from spellmark.attacks.extract import answers

GIVEN = np.array([[0.1, 0.62, 0.08, 0.2], [0.25, 0.25, 0.25, 0.25], [0.0, 0.001, 0.0, 0.999]])


def test_labels_are_all_that_is_left():
    expected = [[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]]
    assert np.array_equal(answers.labels_only(GIVEN), expected)


def test_a_flat_tail_keeps_the_best_class_and_its_probability():
    flat = answers.flattened(GIVEN)
    assert np.allclose(flat[0], [0.38 / 3, 0.62, 0.38 / 3, 0.38 / 3])
    assert np.array_equal(flat.argmax(1), GIVEN.argmax(1))
    assert np.array_equal(flat.max(1), GIVEN.max(1))
    assert np.allclose(flat.sum(1), 1)


@pytest.mark.parametrize("decimals", [1, 2, 3])
def test_rounding_leaves_so_many_digits(decimals):
    scaled = answers.rounded(GIVEN, decimals) * 10**decimals
    assert np.allclose(scaled, scaled.round())
    assert np.abs(answers.rounded(GIVEN, decimals) - GIVEN).max() <= 0.5 / 10**decimals


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_largest_stay_as_they_are(count):
    shown = answers.largest(GIVEN, count)
    assert np.array_equal((shown[:2] > 0).sum(1), [count, count])
    assert np.array_equal(shown[shown > 0], GIVEN[shown > 0])
    assert np.array_equal(shown.max(1), GIVEN.max(1))


def test_smoothing_moves_its_share_to_all_classes_alike():
    smooth = answers.smoothed(GIVEN, 0.3)
    assert np.allclose(smooth, 0.7 * GIVEN + 0.075)
    assert np.allclose(smooth.sum(1), 1)


def test_a_warmer_softmax_is_that_of_divided_logits():
    logits = np.random.default_rng(0).normal(0, 2, (5, 4))
    cold, warm = (
        np.exp(part) / np.exp(part).sum(1, keepdims=True) for part in (logits, logits / 3)
    )
    assert np.allclose(answers.tempered(cold, 3.0), warm)


def test_none_of_them_changes_what_it_was_given():
    before = GIVEN.copy()
    answers.labels_only(GIVEN), answers.flattened(GIVEN), answers.largest(GIVEN, 1)
    answers.rounded(GIVEN, 1), answers.smoothed(GIVEN, 0.1), answers.tempered(GIVEN, 2)
    assert np.array_equal(GIVEN, before)
