"""Questions to a suspect, and the whole way from a guarded model to the verdict."""

import numpy as np
import pytest

from spellmark.secrets import KeyFile
from spellmark.watermarks.dynamic import SCHEME, DynamicMarkError, Guard, MarkKey, MarkParameters
from spellmark.watermarks.dynamic.examine import choose_questions, examine, rule_for
from spellmark.watermarks.dynamic.guard import calibrate

IMAGES = np.random.default_rng(1).integers(0, 256, (600, 1, 8, 8), np.uint8)


def key(number=1, **parameters):
    made = MarkParameters(**{"classes": 10, **parameters})
    file = KeyFile(SCHEME, made.as_dict(), number.to_bytes(32, "big"), bytes(32))
    return MarkKey.open(file, binding=b"")


def model(seed, spread=0.05, classes=10):
    """Answers that depend on the image: mostly sure ones."""
    weights = np.random.default_rng(seed).normal(size=(64, classes))
    own = np.random.default_rng(99).normal(size=(64, classes))

    def answer(images):
        pixels = images.reshape(len(images), -1) / 255 - 0.5
        logits = 3 * pixels @ (own + spread * weights)
        powers = np.exp(logits - logits.max(1, keepdims=True))
        return powers / powers.sum(1, keepdims=True)

    return answer


owner, copyist, innocent = model(0, 0), model(5, 0.15), model(6, 0.15)


def rule_of(mark, **choices):
    return rule_for(mark.parameters, **{"probes": 200, **choices})


@pytest.mark.parametrize("parameters", [
    {}, {"cells": 4, "strength": 100}, {"classes": 3, "cells": 16, "strength": 100},
])  # fmt: skip
def test_a_copy_matches_and_an_innocent_does_not(parameters):
    mark = key(**parameters)
    classes = mark.parameters.classes
    mine, theirs, others = (model(n, s, classes) for n, s in ((0, 0), (5, 0.1), (6, 0.1)))
    thresholds = calibrate(mark, mine(IMAGES), IMAGES)
    guard = Guard(mark, thresholds=thresholds)
    questions = choose_questions(mark, thresholds, mine(IMAGES), IMAGES, seed=bytes(32), wanted=200)
    rule = rule_of(mark)
    stolen = examine(lambda x: guard(theirs(x), x), questions, rule, {"": mark})
    assert stolen.verdict == "match"
    assert examine(others, questions, rule, {"": mark}).verdict == "no match"
    assert examine(mine, questions, rule, {"": mark}).verdict == "no match"


def test_questions_go_through_the_rows_in_turn():
    questions = choose_questions(key(), None, owner(IMAGES), IMAGES, seed=bytes(32), wanted=40)
    tops = [max(range(10), key=q.reference.__getitem__) for q in questions.asked]
    assert len(set(questions.indices)) == 40
    assert len(set(tops[:10])) == 10
    assert (questions.images == IMAGES[list(questions.indices)]).all()


def test_sure_answers_come_first():
    reference = owner(IMAGES)
    questions = choose_questions(key(), None, reference, IMAGES, seed=bytes(32), wanted=20)
    sure = reference.max(1) >= 0.9
    assert sure.sum() > 100
    assert sure[list(questions.indices)].all()


def test_the_seed_chooses_them_and_the_signs_do_not():
    def chosen(mark, seed):
        return choose_questions(mark, None, owner(IMAGES), IMAGES, seed=seed, wanted=30).indices

    assert chosen(key(1), bytes(32)) == chosen(key(2), bytes(32))
    assert chosen(key(1), bytes(32)) != chosen(key(1), bytes([1] * 32))


def test_the_label_channel_reaches_labels():
    mark = key(label_margin=300)
    guard = Guard(mark)
    reference = owner(IMAGES)
    questions = choose_questions(mark, None, reference, IMAGES, seed=bytes(32), wanted=400)
    rule = rule_of(mark, probes=400, alpha=1e-3)

    def labels(answers):
        return np.eye(10)[answers.argmax(1)]

    copy = examine(lambda x: labels(guard(owner(x))), questions, rule, {"": mark})
    assert copy.verdict == "match"
    assert copy.access == "labels"
    honest = examine(lambda x: labels(innocent(x)), questions, rule, {"": mark})
    assert honest.verdict == "inconclusive"
    assert "label channel" in honest.reason


def test_references_must_fit():
    with pytest.raises(DynamicMarkError, match="reference"):
        choose_questions(key(), None, owner(IMAGES)[:5], IMAGES, seed=bytes(32), wanted=5)
