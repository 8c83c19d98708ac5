"""Agreement and correlation, on made-up answers and on real models."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spellmark.evidence import fingerprint_scores
from spellmark.evidence.answer_access import Access
from spellmark.evidence.fingerprint_rule import (
    AGREEMENT,
    CORRELATION,
    JPEG,
    MIXED,
    WRONG,
    FingerprintRule,
)
from spellmark.fingerprints.agreement import agreement
from spellmark.fingerprints.compare import score_all
from spellmark.fingerprints.correlation import compare, label_rows, matrix
from spellmark.fingerprints.probes import ProbesError, candidates, compressed, cut_mix
from spellmark.training.datasets import Split
from spellmark.training.inference import predict_probabilities
from tests.spellmark.fingerprints.conftest import CARD

ALL, LABELS = Access("all"), Access("labels")


def rows(seed, n=30, classes=6):
    return np.random.default_rng(seed).dirichlet(np.full(classes, 0.5), n)


def a_rule(method, **choices):
    fixed = {"of_a_kind": 20, "pool_sha256": "0" * 64, "classes": 6}
    return FingerprintRule(method=method, **fixed | choices)


def test_agreement_counts_the_same_mistakes():
    assert agreement(np.array([1, 1, 2, 3]), np.array([1, 0, 2, 2])) == 0.5


def test_agreement_of_unlike_lengths_is_refused():
    with pytest.raises(ValueError, match="do not belong"):
        agreement(np.zeros(3, np.int64), np.zeros(4, np.int64))


def test_a_known_correlation():
    one, other = np.eye(2), np.ones((2, 2))
    # Orthogonal answers have a cosine distance of 1/2, equal ones of 0: two of four entries differ.
    assert compare(matrix(one), other) == pytest.approx(1 - 0.25)
    assert compare(matrix(one, "rbf"), other, "rbf") == pytest.approx(1 - (1 - np.exp(-2)) / 2)


@pytest.mark.parametrize("kernel", ["cosine", "rbf"])
def test_classes_in_another_order_or_number_change_nothing(kernel):
    own = rows(1)
    moved = np.concatenate([own[:, ::-1], np.zeros((len(own), 3))], axis=1)
    assert compare(matrix(own, kernel), moved, kernel) == pytest.approx(1.0)
    assert compare(matrix(own, kernel), rows(2), kernel) < 0.95


@given(st.integers(0, 10_000), st.sampled_from(["cosine", "rbf"]), st.booleans())
def test_outsiders_compute_the_same_score(seed, kernel, labels_only):
    own, suspect = rows(seed, n=8), rows(seed + 1, n=8)
    access = LABELS if labels_only else ALL
    fast, *_ = score_all(a_rule(CORRELATION, kernel=kernel), own, [suspect], access)
    slow = fingerprint_scores.correlation(
        [fingerprint_scores.as_shown(row, access) for row in own.tolist()],
        [fingerprint_scores.as_shown(row, access) for row in suspect.tolist()],
        kernel,
    )
    assert fast == pytest.approx(slow, abs=1e-12)
    assert 0 <= fast <= 1


def test_labels_alone_are_softened():
    probabilities = label_rows(np.array([1]), 3)[0]
    e, rest = np.exp(1), np.exp(0.01)
    assert probabilities == pytest.approx(np.array([rest, e, rest]) / (e + 2 * rest))


def test_rows_of_zeros_have_no_likeness():
    assert np.isfinite(matrix(np.zeros((3, 4)))).all()


@pytest.mark.parametrize(
    ("variant", "method"),
    [(WRONG, AGREEMENT), (WRONG, CORRELATION), (MIXED, CORRELATION), (JPEG, CORRELATION)],
)
def test_a_fine_tuned_copy_is_closer_than_innocents(cast, variant, method):
    def ask(model):
        return lambda images: predict_probabilities(model, CARD, images)

    probes = candidates(variant, ask(cast.owner), cast.data.test[:2000], most=200)
    assert len(probes) == 200
    if variant == WRONG:
        assert (probes.answers.argmax(1) != probes.labels).all()
    models = [cast.fine_tuned, *cast.innocents]
    for access in (ALL, LABELS):
        thief, *innocents = score_all(
            a_rule(method, variant=variant, classes=10),
            probes.answers,
            [ask(model)(probes.images) for model in models],
            access,
        )
        assert thief > max(innocents)


def test_probes_follow_from_model_data_and_seed(cast):
    ask = lambda images: predict_probabilities(cast.owner, CARD, images)  # noqa: E731
    first, again, other = (
        candidates(MIXED, ask, cast.data.test[:300], most=50, seed=seed) for seed in (0, 0, 1)
    )
    assert (first.images == again.images).all()
    assert (first.images != other.images).any()


def test_too_few_mistakes_are_said():
    def perfect(images):
        return np.eye(2)[np.zeros(len(images), int)]

    data = Split(np.zeros((40, 1, 8, 8), np.uint8), np.zeros(40, np.int64))
    with pytest.raises(ProbesError, match="Only 0 probes"):
        candidates(WRONG, perfect, data, most=30)


@pytest.mark.parametrize("shape", [(5, 1, 8, 8), (5, 3, 30, 20)])
def test_patches_are_small_and_near_the_border(shape):
    zeros, ones = np.zeros(shape, np.uint8), np.ones(shape, np.uint8)
    both = np.concatenate([zeros, ones])
    mixed = cut_mix(both, np.random.default_rng(0))
    changed = (mixed != both).any(1)
    assert 0 < changed.mean() < 0.06
    height, width = shape[2:]
    middle = changed[:, height * 2 // 5 : height * 3 // 5, width * 2 // 5 : width * 3 // 5]
    assert not middle.any()


@pytest.mark.parametrize("channels", [1, 3])
def test_compressed_images_are_alike_but_not_the_same(channels):
    image = np.random.default_rng(0).integers(0, 256, (2, channels, 16, 16), np.uint8)
    back = compressed(image)
    assert back.shape == image.shape
    assert 0 < np.abs(back.astype(int) - image).mean() < 80
