"""Weights: what a thief does to a file, told apart, and that order and scale hide nothing."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from spellmark.fingerprints.alignment import balanced
from spellmark.fingerprints.weights import (
    COPY,
    FINE_TUNED,
    INDEPENDENT,
    MERGED,
    PRUNED,
    QUANTISED,
    compare_weights,
    read_tensors,
)
from spellmark.training import weights
from spellmark.training.inference import predict_probabilities
from tests.spellmark.fingerprints.conftest import CARD


def tensors(model):
    return {name: tensor.numpy() for name, tensor in model.state_dict().items()}


def changed(model, change):
    copy = deepcopy(model)
    with torch.no_grad():
        for parameter in copy.parameters():
            if parameter.ndim > 1:
                parameter.copy_(change(parameter))
    return copy


def permuted(model, seed=0):
    """The same function with every hidden unit moved, and those of the head rescaled."""
    copy, draw = deepcopy(model), torch.Generator().manual_seed(seed)
    first, second = (part for part in copy.stem if isinstance(part, nn.Conv2d))
    norms = [part for part in copy.modules() if isinstance(part, nn.BatchNorm2d)]
    a, b, c = (torch.randperm(n, generator=draw) for n in (8, 24, 128))
    scale = torch.rand(128, generator=draw) * 5 + 0.1
    residual, head, last = copy.residual[0], copy.head[1], copy.head[3]
    with torch.no_grad():
        first.weight.copy_(first.weight[a])
        second.weight.copy_(second.weight[b][:, a])
        residual.weight.copy_(residual.weight[b][:, b])
        for norm, order in zip(norms, (a, b, b), strict=True):
            for part in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
                part.copy_(part[order])
        places = head.weight.reshape(128, 24, 49)[:, b].reshape(128, -1)
        head.weight.copy_(places[c] * scale[:, None])
        head.bias.copy_(head.bias[c] * scale)
        last.weight.copy_(last.weight[:, c] / scale)
    return copy


def test_the_same_weights_are_a_copy(cast):
    found = compare_weights(tensors(cast.owner), tensors(cast.owner))
    assert (found.relation, found.score, found.permuted) == (COPY, pytest.approx(1.0), False)
    assert found.changed == ()


def test_independent_models_score_far_below_any_copy(cast):
    own = tensors(cast.owner)
    scores = [compare_weights(own, tensors(one)) for one in cast.innocents]
    assert {one.relation for one in scores} == {INDEPENDENT}
    assert max(one.score for one in scores) < 0.4
    assert compare_weights(own, tensors(cast.fine_tuned)).score > 0.9


@pytest.mark.parametrize("seed", [0, 1])
def test_permuting_and_rescaling_hide_nothing(cast, seed):
    images = cast.data.test.images[:50]
    for model in (cast.owner, cast.fine_tuned):
        moved = permuted(model, seed)
        answers = [predict_probabilities(one, CARD, images) for one in (model, moved)]
        assert answers[0] == pytest.approx(answers[1], abs=1e-4)
        plain, found = (
            compare_weights(tensors(cast.owner), tensors(one)) for one in (model, moved)
        )
        assert found.score == pytest.approx(plain.score, abs=0.02)
        assert found.relation == plain.relation
        assert found.permuted and not plain.permuted


def test_what_was_done_to_a_copy_is_told(cast):
    def pruned(weight):
        return weight * (weight.abs() > weight.abs().flatten().quantile(0.6))

    def in_few_bits(weight):
        step = weight.abs().max() / 7
        return (weight / step).round() * step

    own = tensors(cast.owner)

    def relation(model):
        return compare_weights(own, tensors(model)).relation

    assert relation(cast.fine_tuned) == FINE_TUNED
    assert relation(changed(cast.owner, pruned)) == PRUNED
    assert relation(changed(cast.owner, in_few_bits)) == QUANTISED
    assert relation(permuted(changed(cast.owner, pruned))) == PRUNED


def test_a_merged_model_is_told_without_the_other(cast):
    own, other = tensors(cast.owner), tensors(cast.innocents[0])
    mixed = {name: (0.5 * own[name] + 0.5 * other[name]).astype(own[name].dtype) for name in own}
    assert compare_weights(own, mixed).relation == MERGED


def test_the_changed_layers_are_named(cast):
    copy = deepcopy(cast.owner)
    with torch.no_grad():
        copy.head[3].weight.add_(torch.randn_like(copy.head[3].weight) * 0.05)
    found = compare_weights(tensors(cast.owner), tensors(copy))
    assert found.changed == ("head.3.weight",)
    assert found.relation == FINE_TUNED


def test_other_architectures_cannot_be_compared(cast):
    found = compare_weights(tensors(cast.owner), {"one": np.zeros((3, 3))})
    assert (found.score, found.relation) == (None, INDEPENDENT)


def test_files_give_the_tensors_in_order(cast, tmp_path):
    path = tmp_path / "model.safetensors"
    weights.save(cast.owner, CARD, path)
    found = compare_weights(tensors(cast.owner), read_tensors(path))
    assert found.score == pytest.approx(1.0)
    assert found.relation == COPY


@settings(max_examples=30)
@given(st.integers(0, 1000))
def test_balanced_layers_forget_their_scales(seed):
    draw = np.random.default_rng(seed)
    layer = draw.normal(size=(6, 5, 4))
    scaled = layer * draw.uniform(0.1, 10, (6, 1, 1)) * draw.uniform(0.1, 10, (1, 5, 1))
    assert balanced(scaled) == pytest.approx(balanced(layer), abs=1e-6)


def test_dead_units_are_no_trouble():
    layer = np.zeros((3, 4, 1))
    layer[0] = 1
    assert np.isfinite(balanced(layer)).all()
    assert compare_weights({"w": layer[..., 0]}, {"w": layer[..., 0]}).score == pytest.approx(1.0)
