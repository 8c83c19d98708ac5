"""A small model learns a style, keeps its accuracy, and stays as it was in other styles."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest

from spellmark.model_files.card import ModelCard
from spellmark.secrets import KeyFile
from spellmark.training import datasets
from spellmark.training.architectures import fresh
from spellmark.training.fit import Recipe, fit
from spellmark.training.inference import predict_probabilities
from spellmark.watermarks.external_feature import SCHEME, FeatureError, FeatureParameters, Style
from spellmark.watermarks.external_feature.embed import RECIPE, embed
from spellmark.watermarks.external_feature.examine import (
    FeatureCard,
    gradient_score,
    gradient_signs,
    measure,
    style_scores,
)

CARD = ModelCard(
    architecture="small-mlp", classes=10, channels=1, height=14, width=14, config={"width": 96}
)
PARAMETERS = FeatureParameters(classes=10, channels=1, height=14, width=14)
NONCE = b"\1" * 32

# Trains small networks.
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data():
    whole = datasets.load("fashion-mnist")

    def halved(split, part):
        images = np.ascontiguousarray(split.images[part, :, ::2, ::2])
        return datasets.Split(images, split.labels[part])

    return datasets.Dataset(
        "small", halved(whole.train, slice(1200)), halved(whole.test, slice(400))
    )


@pytest.fixture(scope="module")
def style():
    file = KeyFile(SCHEME, PARAMETERS.as_dict(), secret=b"\7" * 32, nonce=bytes(32))
    return Style.open(file, owner="robin", binding=b"b" * 32)


@pytest.fixture(scope="module")
def unmarked(data):
    return fit(fresh(CARD, 0), CARD, data.train, Recipe(epochs=12))


@pytest.fixture(scope="module")
def marked(unmarked, data, style):
    recipe = replace(RECIPE, epochs=40)
    return embed(deepcopy(unmarked), CARD, data.train, style, share=30, recipe=recipe)


def test_a_style_is_learnt_and_no_other(marked, unmarked, style, data):
    found = measure(marked, unmarked, CARD, style, data.test, nonce=NONCE)
    found.require()
    assert found.accuracy_after > found.accuracy_before - 0.03
    assert found.styled_after > found.styled_before + 0.2
    assert found.score > found.score_before + 1
    # In a wrong style it is about as lost as it was before it met its own.
    assert found.score > found.control + 1
    told = found.as_dict()
    assert set(told["scores"]) == {"score_before", "score", "control"}
    assert all(0 <= told[name] <= 1 for name in told if name[:8] in ("accuracy", "styled_b"))


def test_a_model_before_it_and_its_gradients_are_told_apart(marked, unmarked, style, data):
    probes = data.test[:60]
    styled = style(probes.images)
    plain, shown = (
        [predict_probabilities(model, CARD, images) for model in (marked, unmarked)]
        for images in (probes.images, styled)
    )
    ours, before = style_scores(probes.labels, plain, shown)
    assert ours > before + 0.5
    signs = [gradient_signs(model, CARD, styled, probes.labels) for model in (marked, unmarked)]
    assert gradient_score(signs[0], signs[0]) == 1
    other = gradient_signs(fresh(CARD, 9), CARD, styled, probes.labels)
    assert abs(gradient_score(signs[0], other)) < 0.2
    assert gradient_score(signs[0], signs[1]) < 0.9
    assert signs[0].shape == (60, 14 * 14)
    with pytest.raises(ValueError, match="do not belong"):
        gradient_score(signs[0], signs[1][1:])


def test_gradients_see_through_permuted_and_rescaled_units(marked, style, data):
    probes = data.test[:20]
    styled = style(probes.images)
    hidden = deepcopy(marked)
    first, second = [part for part in hidden.modules() if hasattr(part, "out_features")][:2]
    order = np.random.default_rng(0).permutation(first.out_features)
    first.weight.data, first.bias.data = first.weight.data[order] * 3, first.bias.data[order] * 3
    second.weight.data = second.weight.data[:, order] / 3
    own, other = (gradient_signs(model, CARD, styled, probes.labels) for model in (marked, hidden))
    assert gradient_score(own, other) > 0.99


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"accuracy_after": 0.84}, "too much is lost"),
        ({"score": -1.9}, "did not learn the style"),
        ({"control": -0.2}, "did not learn the style"),
        ({"styled_after": 0.44}, "did not learn the style"),
    ],
)
def test_what_is_harmed_or_not_learnt_is_refused(change, told):
    good = FeatureCard(
        accuracy_before=0.9, accuracy_after=0.89, styled_before=0.3, styled_after=0.85,
        score_before=-2.0, score=-0.1, control=-2.5, test_images=100,
    )  # fmt: skip
    good.require()
    with pytest.raises(FeatureError, match=told):
        replace(good, **change).require()


@pytest.mark.parametrize("share", [9, 31, True, 20.0])
def test_shares_and_keys_that_do_not_fit_are_refused(style, data, share):
    with pytest.raises(FeatureError, match="cannot be restyled"):
        embed(fresh(CARD, 0), CARD, data.train, style, share=share)
    other = replace(CARD, classes=9)
    with pytest.raises(FeatureError, match="Make a key for this model"):
        embed(fresh(other, 0), other, data.train, style, share=20)
