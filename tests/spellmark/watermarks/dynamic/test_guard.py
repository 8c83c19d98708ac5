import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from spellmark.secrets import KeyFile
from spellmark.watermarks.dynamic import DynamicMarkError, Guard, MarkKey
from spellmark.watermarks.dynamic.guard import calibrate
from tests.spellmark.watermarks.dynamic.mark_samples import (
    answers_of,
    guard_of,
    inputs_of,
    key_file,
)

CLASSES = 5
STRENGTH = 0.05

TYPES = st.sampled_from([np.float64, np.float32, np.float16])
# Small whole numbers make many ties.
WEIGHTS = st.one_of(st.integers(0, 3).map(float), st.floats(0, 1))


@st.composite
def answers(draw, dtype=np.float64) -> np.ndarray:
    shape = (draw(st.integers(1, 4)), CLASSES)
    weights = draw(arrays.arrays(np.float64, shape, elements=WEIGHTS))
    assume((weights.sum(1) > 1e-3).all())
    return (weights / weights.sum(1, keepdims=True)).astype(dtype)


@given(st.data(), TYPES)
def test_the_best_class_stays_and_sums_stay_one(data, dtype):
    given_answers = data.draw(answers(dtype))
    assume(np.allclose(given_answers.sum(1, dtype=np.float64), 1, atol=9e-4))
    marked = guard_of()(given_answers)
    assert marked.dtype == dtype
    assert marked.shape == given_answers.shape
    assert (marked.argmax(1) == given_answers.argmax(1)).all()
    assert marked.sum(1, dtype=np.float64) == pytest.approx(
        given_answers.sum(1, dtype=np.float64), abs=2e-3 if dtype == np.float16 else 1e-6
    )
    assert (marked >= 0).all()


@given(answers())
def test_no_more_mass_moves_than_the_strength(given_answers):
    moved = np.abs(guard_of()(given_answers) - given_answers).sum(1) / 2
    assert (moved <= STRENGTH + 1e-12).all()


@given(answers(), st.integers(0, 4), st.integers(1, CLASSES), TYPES)
def test_digits_and_top_k_never_move_the_best_class(given_answers, decimals, top_k, dtype):
    given_answers = given_answers.astype(dtype)
    assume(np.allclose(given_answers.sum(1, dtype=np.float64), 1, atol=9e-4))
    key = MarkKey.open(key_file())
    shown = Guard(key, decimals=decimals, top_k=top_k)(given_answers)
    assert (shown.argmax(1) == given_answers.argmax(1)).all()
    assert (np.count_nonzero(shown, axis=1) <= top_k).all()
    assert shown.astype(np.float64) == pytest.approx(
        shown.astype(np.float64).round(decimals), abs=1e-3 if dtype == np.float16 else 1e-6
    )


def test_the_same_input_gets_the_same_answer_alone_and_among_others():
    given_answers = answers_of(50)
    marked = guard_of()(given_answers)
    assert (guard_of()(given_answers[::-1]) == marked[::-1]).all()
    assert (guard_of()(given_answers[7]) == marked[7]).all()
    assert not (marked == given_answers).all()


def test_what_is_given_stays_as_it_is():
    given_answers = answers_of(50)
    before = given_answers.copy()
    guard_of(label_margin=100)(given_answers)
    assert (given_answers == before).all()


def test_the_mass_goes_to_the_classes_with_a_plus():
    given_answers = np.full((5, 5), 0.05) + 0.75 * np.eye(5)
    guard = guard_of()
    for top, marked in enumerate(guard(given_answers)):
        plus = guard.key.row(0, top) > 0
        # A row may happen to have none.
        added = 0.05 * (plus / plus.sum() if plus.any() else given_answers[top])
        assert marked == pytest.approx(0.95 * given_answers[top] + added)


def test_cells_have_rows_of_their_own_whatever_the_scale_of_the_inputs():
    key, inputs, given_answers = MarkKey.open(key_file(cells=4)), inputs_of(400), answers_of(400)
    guard = Guard(key, thresholds=calibrate(key, given_answers, inputs))
    tops = given_answers.argmax(1)
    cells = guard.cells_of(tops, inputs)
    assert cells is not None
    for top in range(5):
        assert np.bincount(cells[tops == top], minlength=4).min() > 5
    fresh = inputs_of(400, seed=2)
    assert (guard.cells_of(tops, fresh / 255 - 0.5) == guard.cells_of(tops, fresh)).all()
    top = int(tops[0])
    rows = {key.row(cell, top).tobytes() for cell in range(4)}
    assert len(rows) > 1
    assert (guard(given_answers[0], inputs[0]) == guard(given_answers, inputs)[0]).all()


def test_the_label_channel_changes_close_answers_only():
    given_answers, guard = answers_of(2000), guard_of(label_margin=100)
    changed = guard(given_answers).argmax(1) != given_answers.argmax(1)
    assert 0.01 < changed.mean() < 0.5
    best = np.sort(given_answers)[:, ::-1]
    assert (best[changed, 1] > best[changed, 0] * np.exp(-1)).all()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (np.array([[0.5, 0.5]]), "not one row of 5 probabilities"),
        (np.array([[0.5, 0.5, 0.1, 0.1, 0.1]]), "do not sum to one"),
        (np.array([[-0.1, 0.8, 0.1, 0.1, 0.1]]), "negative"),
        (np.array([[np.nan, 0.25, 0.25, 0.25, 0.25]]), "not probabilities"),
        (np.zeros((2, 2, 5)), "not one row"),
    ],
)
def test_it_refuses_what_are_not_probabilities(wrong, said):
    with pytest.raises(DynamicMarkError, match=said) as caught:
        guard_of()(wrong)
    assert caught.value.hint


def test_a_guard_with_cells_wants_thresholds_and_inputs():
    key = MarkKey.open(key_file(cells=2))
    with pytest.raises(DynamicMarkError, match="does not know where"):
        Guard(key)
    with pytest.raises(DynamicMarkError, match="does not know where"):
        Guard(key, thresholds=np.zeros((5, 2)))
    guard = Guard(key, thresholds=np.zeros((5, 1)))
    with pytest.raises(DynamicMarkError, match="looks at the inputs too"):
        guard(answers_of(3))
    with pytest.raises(DynamicMarkError, match="looks at the inputs too"):
        guard(answers_of(3), inputs_of(2))


def test_inputs_of_another_shape_are_refused():
    key = MarkKey.open(key_file(cells=4))
    guard = Guard(key, thresholds=np.zeros((5, 2)), input_shape=(3, 4, 4))
    inputs = np.random.default_rng(0).integers(0, 256, (20, 3, 4, 4), np.uint8)
    given_answers = answers_of(20)
    marked = guard(given_answers, inputs)
    assert (guard(given_answers, inputs.reshape(20, 48)) == marked).all()
    with pytest.raises(DynamicMarkError, match="cut by inputs of") as caught:
        guard(given_answers, inputs.transpose(0, 2, 3, 1))
    assert caught.value.hint


def test_the_place_of_a_single_channel_does_not_matter():
    key = MarkKey.open(key_file(cells=4))
    guard = Guard(key, thresholds=np.zeros((5, 2)), input_shape=(1, 8, 8))
    inputs, given_answers = inputs_of(20), answers_of(20)
    marked = guard(given_answers, inputs)
    assert (guard(given_answers, inputs.transpose(0, 2, 3, 1)) == marked).all()
    assert (guard(given_answers, inputs[:, 0]) == marked).all()


def test_classes_that_differ_in_the_last_bit_keep_their_order():
    best = np.linspace(0.3, 0.45, 4000)
    rest = (1 - best - np.nextafter(best, 0)) / 3
    given_answers = np.stack([np.nextafter(best, 0), best, rest, rest, rest], axis=1)
    for seed in range(5):
        key = MarkKey.open(KeyFile(**{**vars(key_file()), "secret": bytes([seed]) * 32}))
        assert (Guard(key)(given_answers).argmax(1) == 1).all()


def test_lists_are_taken_too():
    given_answers = answers_of(3)
    assert (guard_of()(given_answers.tolist()) == guard_of()(given_answers)).all()
    with pytest.raises(DynamicMarkError, match="not numbers in rows"):
        guard_of()([[0.5, 0.5], [1.0]])


def test_the_coarsest_floats_are_probabilities_still():
    given_answers = answers_of(500).astype(np.float32)
    # bfloat16 is the upper half of a float32, rounded.
    whole = given_answers.view(np.uint32) + 0x8000 & 0xFFFF0000
    coarse = whole.astype(np.uint32).view(np.float32)
    assert np.abs(coarse.sum(1) - 1).max() > 1e-3
    assert (guard_of()(coarse).argmax(1) == coarse.argmax(1)).all()


def test_no_answers_are_marked_as_none():
    assert guard_of()(np.empty((0, 5))).shape == (0, 5)
