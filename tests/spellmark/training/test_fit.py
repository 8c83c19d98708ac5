import numpy as np
import pytest
import torch

from spellmark.model_files.card import ModelCard
from spellmark.training import architectures, weights
from spellmark.training.datasets import Split
from spellmark.training.fit import Recipe, fit
from spellmark.training.inference import accuracy, predict_probabilities

CARD = ModelCard(architecture="small-cnn", classes=2, channels=1, height=8, width=8)


def _bars(count: int, seed: int) -> Split:
    """Class 0 has a bright upper left quarter, class 1 a bright lower right one."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 2, count)
    images = generator.integers(0, 120, (count, 1, 8, 8), np.uint8)
    images[labels == 0, :, :4, :4] += 100
    images[labels == 1, :, 4:, 4:] += 100
    return Split(images, labels.astype(np.int64))


def _model(seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    return architectures.build(CARD)


def test_it_learns_an_easy_task():
    test = _bars(200, seed=1)
    model = fit(_model(), CARD, _bars(400, seed=0), Recipe(epochs=3, batch=32))
    assert accuracy(model, CARD, test.images, test.labels) > 0.95


def test_a_killed_training_ends_with_the_same_weights(tmp_path):
    data, recipe = _bars(96, seed=0), Recipe(epochs=3, batch=32)
    whole = fit(_model(), CARD, data, recipe).state_dict()

    def kill_in_the_third_epoch(share: float, step: str) -> None:
        if step.startswith("epoch 3"):
            raise KeyboardInterrupt

    checkpoint = tmp_path / "checkpoint.pt"
    with pytest.raises(KeyboardInterrupt):
        fit(
            _model(), CARD, data, recipe,
            checkpoint=checkpoint, progress=kill_in_the_third_epoch,
        )  # fmt: skip
    epochs: list[str] = []
    resumed = fit(
        _model(seed=9), CARD, data, recipe,
        checkpoint=checkpoint, progress=lambda share, step: epochs.append(step),
    ).state_dict()  # fmt: skip
    assert all(step.startswith("epoch 3") for step in epochs)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_model_survives_being_saved_and_loaded(tmp_path):
    images = _bars(10, seed=2).images
    model = _model()
    weights.save(model, CARD, tmp_path / "model.safetensors")
    loaded, card = weights.load(tmp_path / "model.safetensors")
    assert card == CARD
    assert np.array_equal(
        predict_probabilities(model, CARD, images), predict_probabilities(loaded, card, images)
    )


def test_it_refuses_weights_of_another_architecture(tmp_path):
    other = ModelCard(architecture="small-cnn", classes=3, channels=1, height=8, width=8)
    weights.save(_model(), other, tmp_path / "model.safetensors")
    with pytest.raises(weights.WeightsError, match="do not fit the architecture"):
        weights.load(tmp_path / "model.safetensors")


def test_it_refuses_an_architecture_it_does_not_know(tmp_path):
    unknown = ModelCard(architecture="vast-net", classes=2, channels=1, height=8, width=8)
    with pytest.raises(architectures.ArchitectureError, match="small-cnn"):
        architectures.build(unknown)
