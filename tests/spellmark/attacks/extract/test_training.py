import numpy as np
import pytest
import torch

from spellmark.attacks.attack import AttackError
from spellmark.attacks.extract.training import Trainer, copy_card, features
from spellmark.model_files.card import ModelCard
from spellmark.training.architectures import fresh
from spellmark.training.inference import predict_probabilities
from tests.spellmark.attacks.extract.easy_guard import MLP

IMAGES = np.random.default_rng(0).integers(0, 256, (40, 1, 8, 8), np.uint8)


def test_a_thief_knows_the_form_of_images_and_answers_only():
    told = ModelCard(
        architecture="small-cnn", classes=2, channels=1, height=8, width=8, mean=(0.5,),
        config={"width": 8}, label_names=("cat", "dog"), description="of the owner",
    )  # fmt: skip
    found = copy_card(told, "small-mlp")
    assert (found.architecture, found.config, found.label_names) == ("small-mlp", {}, ())
    assert (found.classes, found.mean, found.description) == (2, (0.5,), "")


@pytest.mark.parametrize("count", [1, 50, 129, 8_000])
def test_few_images_are_looked_at_more_often(count):
    recipe = Trainer(MLP, epochs=6, steps=300, seed=0).recipe(count)
    assert recipe.epochs >= 6
    assert recipe.epochs * -(-count // recipe.batch) >= 300


def test_a_copy_learns_whole_probabilities():
    wanted = np.random.default_rng(1).dirichlet(np.ones(10), 40)
    model = Trainer(MLP, epochs=1, steps=400, seed=0)(IMAGES, wanted)
    assert np.abs(predict_probabilities(model, MLP, IMAGES) - wanted).mean() < 0.02


def test_a_copy_that_learned_warm_answers_cold():
    soft = np.full((40, 10), 0.5 / 9)
    soft[np.arange(40), np.arange(40) % 10] = 0.5
    model = Trainer(MLP, epochs=1, steps=300, seed=0)(IMAGES, soft, temperature=3.0)
    peaks = predict_probabilities(model, MLP, IMAGES).max(1)
    # (0.5 / 0.0556) ** 3 = 729 to one against each of nine others.
    assert np.median(peaks) == pytest.approx(729 / 738, abs=0.02)


def test_the_seed_alone_decides():
    targets = np.eye(10)[np.arange(40) % 10]
    one, same, other = (
        Trainer(MLP, epochs=1, steps=1, seed=seed)(IMAGES, targets).head.weight
        for seed in (1, 1, 2)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_there_must_be_images():
    with pytest.raises(AttackError, match="no images"):
        Trainer(MLP, epochs=1, steps=1, seed=0)(IMAGES[:0], np.empty((0, 10)))


def test_features_are_what_the_head_multiplies():
    model = fresh(MLP, 0).eval()
    seen = features(model, MLP, IMAGES)
    assert seen.shape == (40, 256)
    logits = seen @ model.head.weight.detach().numpy().T + model.head.bias.detach().numpy()
    answers = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert np.allclose(answers, predict_probabilities(model, MLP, IMAGES), atol=1e-5)
    with pytest.raises(AttackError, match="no linear layer"):
        features(torch.nn.Conv2d(1, 1, 3), MLP, IMAGES)
