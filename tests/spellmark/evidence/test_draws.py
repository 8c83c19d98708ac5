"""What a run draws from its seed: always the same, balanced, and pinned."""

from collections import Counter

import pytest

from spellmark.evidence.draws import ProbesError, choose_probes, decoy_labels, true_slot

SEED = bytes(range(32))
LABELS = [place % 7 for place in range(700)]


def test_the_same_seed_draws_the_same():
    assert choose_probes(SEED, LABELS, wanted=20) == choose_probes(SEED, LABELS, wanted=20)
    assert choose_probes(SEED, LABELS, wanted=20) != choose_probes(bytes(32), LABELS, wanted=20)
    assert true_slot(SEED, 999) == true_slot(SEED, 999)
    assert len({true_slot(bytes([number]) * 32, 999) for number in range(50)}) > 40


def test_known_answers():
    """A change here would leave transcripts that nobody can redo."""
    assert true_slot(SEED, 999) == 819
    assert choose_probes(SEED, LABELS, wanted=5) == [22, 672, 403, 236, 268]
    assert decoy_labels(SEED, 0, 10) == [1, 7, 2, 0, 8, 3, 9, 5, 4, 6]


def test_probes_are_balanced_and_never_repeated():
    chosen = choose_probes(SEED, LABELS, wanted=64)
    assert len(set(chosen)) == 64
    counts = Counter(LABELS[place] for place in chosen)
    assert set(counts.values()) == {9, 10}


def test_a_class_with_few_images_gives_what_it_has():
    labels = [0] * 50 + [1] * 3 + [2] * 50
    counts = Counter(labels[place] for place in choose_probes(SEED, labels, wanted=33))
    assert counts == {0: 15, 1: 3, 2: 15}


def test_some_classes_are_drawn_when_not_all_are_wanted():
    labels = [place % 100 for place in range(1000)]
    drawn = {
        frozenset(labels[place] for place in choose_probes(seed, labels, wanted=60, classes=12))
        for seed in (SEED, bytes(32))
    }
    assert {len(classes) for classes in drawn} == {12}
    assert len(drawn) == 2


def test_every_image_can_be_the_first():
    labels = [0, 1] * 3
    first = {choose_probes(bytes([n]) * 32, labels, wanted=1)[0] for n in range(100)}
    assert first == set(range(6))


def test_it_refuses_more_probes_than_there_are_images():
    with pytest.raises(ProbesError, match="has 10 test images"):
        choose_probes(SEED, [0, 1] * 5, wanted=11)


def test_it_refuses_classes_that_the_data_does_not_show():
    with pytest.raises(ProbesError, match="show 2 classes; the run asks for 3"):
        choose_probes(SEED, [0, 1] * 5, wanted=4, classes=3)
