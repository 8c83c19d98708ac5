"""The transfer-learning recipe on a classifier that transformers made, from a local folder."""

from pathlib import Path

import numpy as np
import torch
from transformers import ResNetConfig, ResNetForImageClassification, ViTImageProcessorPil

from spellmark.locks.key_lock.lock import lock
from spellmark.locks.key_lock.lock_key import LockKey
from spellmark.locks.key_lock.parameters import default_parameters
from spellmark.locks.key_lock.report_card import report_card
from spellmark.training import weights
from spellmark.training.datasets import Split
from spellmark.training.fit import Recipe, fit
from spellmark.training.pretrained import import_folder, replace_head


def _stripes(count: int, seed: int) -> Split:
    """Colour images of two classes: stripes that lie and stripes that stand."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    images = generator.integers(0, 60, (count, 3, 16, 16), np.uint8)
    for image, label in zip(images, labels, strict=True):
        start = generator.integers(4)
        (image[:, start::4] if label else image[:, :, start::4])[:] = 240
    return Split(images, labels.astype(np.int64))


def test_a_pretrained_classifier_is_locked_for_other_classes(tmp_path: Path):
    torch.manual_seed(0)
    config = ResNetConfig(
        embedding_size=16, hidden_sizes=[16, 32], depths=[1, 1], downsample_in_first_stage=False
    )
    ResNetForImageClassification(config).save_pretrained(tmp_path)
    ViTImageProcessorPil(size={"height": 16, "width": 16}).save_pretrained(tmp_path)
    model, card = replace_head(*import_folder(tmp_path), 2)
    train, test = _stripes(400, 0), _stripes(100, 1)
    base = fit(model, card, train, Recipe(epochs=3, batch=32, learning_rate=2e-3))
    weights.save(base, card, tmp_path / "base.safetensors")

    key = LockKey.derive(
        bytes(32),
        binding=b"",
        shape=(3, card.height, card.width),
        classes=2,
        parameters=default_parameters(card.height, card.width, 3, 2),
    )
    locked, _ = weights.load(tmp_path / "base.safetensors")
    lock(locked, card, train, key, Recipe(epochs=6, batch=32, learning_rate=2e-3), teacher=base)
    report = report_card(locked, base, card, test, key, wrong_keys=20, wrong_key_images=100)
    assert report.unprotected > 0.95
    assert report.right > 0.85
    assert report.plain < 0.75
    assert report.wrong_mean < report.right - 0.1

    weights.save(locked, card, tmp_path / "locked.safetensors")
    again, _ = weights.load(tmp_path / "locked.safetensors")
    assert card.architecture == "transformers"
    assert report_card(again, base, card, test, key, wrong_keys=1).right == report.right
