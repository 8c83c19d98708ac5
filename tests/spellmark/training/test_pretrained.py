import json
import socket
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import (
    ConvNextConfig,
    ConvNextForImageClassification,
    PreTrainedModel,
    ResNetConfig,
    ResNetForImageClassification,
    ResNetModel,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessorPil,
)

from spellmark.model_files.card import ModelCard
from spellmark.model_files.errors import ModelFileError
from spellmark.training import weights
from spellmark.training.architectures import ArchitectureError, build, outline
from spellmark.training.datasets import Split
from spellmark.training.errors import ImportFolderError
from spellmark.training.fit import Recipe, fit
from spellmark.training.pretrained import add_class, import_folder, replace_head

LABELS = {0: "shirt", 1: "shoe", 2: "bag"}


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def resnet(**changes: object) -> PreTrainedModel:
    small = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "id2label": LABELS}
    return ResNetForImageClassification(ResNetConfig(**small | changes))


def convnext() -> PreTrainedModel:
    config = ConvNextConfig(hidden_sizes=[8, 16], depths=[1, 1], num_stages=2, id2label=LABELS)
    return ConvNextForImageClassification(config)


def vit() -> PreTrainedModel:
    config = ViTConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        image_size=32, patch_size=8, id2label=LABELS,
    )  # fmt: skip
    return ViTForImageClassification(config)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A ResNet as transformers saves it, with its image processor."""
    return saved(resnet(), tmp_path / "folder")


def saved(model: PreTrainedModel, folder: Path) -> Path:
    model.save_pretrained(folder)
    ViTImageProcessorPil(
        size={"height": 32, "width": 32}, image_mean=[0.1, 0.2, 0.3], image_std=[0.4, 0.5, 0.6]
    ).save_pretrained(folder)
    return folder


def change(folder: Path, file: str, **changes: object) -> None:
    """Write other fields into a JSON file, or take them out if changed to `...`."""
    fields = json.loads((folder / file).read_text()) | changes
    (folder / file).write_text(json.dumps({k: v for k, v in fields.items() if v is not ...}))


@pytest.mark.parametrize("make", [resnet, convnext, vit])
def test_an_imported_model_answers_the_same_before_and_after_it_is_saved(make, tmp_path):
    theirs = make().eval()
    model, card = import_folder(saved(theirs, tmp_path / "folder"))
    assert (card.classes, card.channels, card.height, card.width) == (3, 3, 32, 32)
    assert card.label_names == ("shirt", "shoe", "bag")
    assert (card.mean, card.std) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    images = torch.rand(4, 3, 32, 32)
    assert torch.equal(model(images), theirs(images).logits)

    weights.save(model, card, tmp_path / "ours.safetensors")
    loaded, loaded_card = weights.load(tmp_path / "ours.safetensors")
    assert loaded_card == card
    assert torch.equal(loaded(images), theirs(images).logits)


@pytest.mark.parametrize("make", [resnet, vit])
def test_our_file_can_be_used_in_transformers(make, tmp_path):
    theirs = make().eval()
    folder = saved(theirs, tmp_path / "folder")
    model, card = import_folder(folder)
    weights.save(model, card, folder / "model.safetensors")
    again = type(theirs).from_pretrained(folder).eval()
    images = torch.rand(4, 3, 32, 32)
    assert torch.equal(again(images).logits, theirs(images).logits)


@pytest.mark.parametrize("classes", [2, 3])
def test_a_model_without_label_names_gets_none(classes, tmp_path):
    _, card = import_folder(saved(resnet(id2label=None, num_labels=classes), tmp_path / "folder"))
    assert (card.classes, card.label_names) == (classes, ())


def test_half_precision_becomes_float32(tmp_path):
    model, _ = import_folder(saved(resnet().half(), tmp_path / "folder"))
    assert {part.dtype for part in model.parameters()} == {torch.float32}


def test_a_grey_model_keeps_its_channel(tmp_path):
    folder = saved(resnet(num_channels=1), tmp_path / "folder")
    change(folder, "preprocessor_config.json", image_mean=[0.3], image_std=[0.4])
    model, card = import_folder(folder)
    assert (card.channels, card.mean) == (1, (0.3,))
    assert model(torch.rand(2, 1, 32, 32)).shape == (2, 3)


def test_it_refuses_a_pickle(folder):
    (folder / "model.safetensors").unlink()
    torch.save(resnet().state_dict(), folder / "pytorch_model.bin")
    with pytest.raises(ImportFolderError, match="are a Python pickle") as caught:
        import_folder(folder)
    assert "safetensors" in caught.value.hint


def test_it_refuses_a_pickle_that_calls_itself_safetensors(folder):
    torch.save(resnet().state_dict(), folder / "model.safetensors")
    with pytest.raises(ModelFileError, match="not sound"):
        import_folder(folder)


def test_it_refuses_weights_in_several_files(tmp_path):
    folder = tmp_path / "folder"
    saved(resnet(), folder)
    (folder / "model.safetensors").unlink()
    resnet().save_pretrained(folder, max_shard_size="2KB")
    assert (folder / "model.safetensors.index.json").exists()
    with pytest.raises(ImportFolderError, match="spread over several files"):
        import_folder(folder)


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("model.safetensors", "has no model.safetensors"),
        ("config.json", "has no config.json"),
        ("preprocessor_config.json", "has no preprocessor_config.json"),
    ],
)
def test_it_says_which_file_is_missing(folder, file, reason):
    (folder / file).unlink()
    with pytest.raises(ImportFolderError, match=reason):
        import_folder(folder)


def test_it_refuses_what_is_no_folder(tmp_path):
    with pytest.raises(ImportFolderError, match="no folder"):
        import_folder(tmp_path / "nothing")


def test_code_that_comes_with_a_model_is_never_run(folder):
    (folder / "evil.py").write_text("raise SystemExit('run')\nclass Evil: pass\n")
    change(folder, "config.json", auto_map={"AutoModelForImageClassification": "evil.Evil"})
    _, card = import_folder(folder)
    assert "auto_map" not in card.config


@pytest.mark.parametrize(
    ("changes", "error", "reason"),
    [
        ({"model_type": "llama"}, ArchitectureError, "“llama” is not supported"),
        ({"model_type": ...}, ArchitectureError, "is not supported"),
        ({"architectures": ["ResNetModel"]}, ArchitectureError, "no image classifier"),
        ({"depths": [1, 2]}, ArchitectureError, "weights do not fit"),
        ({"hidden_sizes": [8, 24]}, ArchitectureError, "weights do not fit"),
        ({"id2label": {"0": "a", "1": "b"}}, ArchitectureError, "weights do not fit"),
        ({"id2label": {"0": "a", "2": "b"}}, ImportFolderError, "do not make one"),
        ({"id2label": ["a", "b", "c"]}, ImportFolderError, "do not make one"),
        ({"depths": {"a": 1}}, ArchitectureError, "describes no"),
    ],
)
def test_it_refuses_a_config_that_is_not_the_models(folder, changes, error, reason):
    change(folder, "config.json", **changes)
    with pytest.raises(error, match=reason):
        import_folder(folder)


def test_it_refuses_a_model_that_is_no_classifier(tmp_path):
    folder = saved(ResNetModel(resnet().config), tmp_path / "folder")
    with pytest.raises(ArchitectureError, match="no image classifier"):
        import_folder(folder)


def test_a_card_cannot_ask_for_more_than_the_file_holds(folder, tmp_path):
    _, card = import_folder(folder)
    state = load_file(folder / "model.safetensors")
    large = ModelCard(
        architecture="transformers", config={**card.config, "hidden_sizes": [2048, 2048]},
        classes=3, channels=3, height=32, width=32,
    )  # fmt: skip
    save_file(state, tmp_path / "small", metadata=large.to_metadata())
    with pytest.raises(weights.WeightsError, match="do not fit the architecture"):
        weights.load(tmp_path / "small")


def test_a_card_cannot_ask_for_much_that_no_file_holds(tmp_path):
    """A Swin's table of positions grows with the fourth power of its window and is never saved."""
    card = ModelCard(
        architecture="transformers",
        config={"model_type": "swin", "image_size": 320, "patch_size": 4, "window_size": 80,
                "embed_dim": 4, "depths": [1], "num_heads": [1]},
        classes=3, channels=3, height=320, width=320,
    )  # fmt: skip
    shapes = {name: part.shape for name, part in outline(card).state_dict().items()}
    state = {name: torch.zeros(shape) for name, shape in shapes.items()}
    assert sum(part.numel() for part in state.values()) < 100_000
    save_file(state, tmp_path / "small", metadata=card.to_metadata())
    with pytest.raises(weights.WeightsError, match="do not fit the architecture"):
        weights.load(tmp_path / "small")


def test_a_new_head_is_the_only_new_part(folder):
    model, card = import_folder(folder)
    before = {name: part.clone() for name, part in model.state_dict().items()}
    new, new_card = replace_head(model, card, 5, ("a", "b", "c", "d", "e"))
    assert new_card.label_names == ("a", "b", "c", "d", "e")
    assert new(torch.rand(2, 3, 32, 32)).shape == (2, 5)
    assert _differing(model, new) == {"classifier.1.weight", "classifier.1.bias"}
    assert all(torch.equal(part, before[name]) for name, part in model.state_dict().items())


@pytest.mark.parametrize("architecture", ["small-cnn", "small-resnet"])
def test_a_new_head_for_as_many_classes_is_fresh_too(architecture):
    card = ModelCard(architecture=architecture, classes=2, channels=1, height=8, width=8)
    model = build(card)
    new, new_card = replace_head(model, card, 2)
    assert new_card == card
    assert _differing(model, new) == {"head.3.weight", "head.3.bias"}


def test_a_class_more_leaves_the_others_as_they_were(folder):
    model, card = import_folder(folder)
    before = {name: part.clone() for name, part in model.state_dict().items()}
    new, new_card = add_class(model, card, "no spell")
    assert (new_card.classes, new_card.extra_classes) == (card.classes + 1, 1)
    assert new_card.label_names == ("shirt", "shoe", "bag", "no spell")
    pixels = torch.rand(2, 3, 32, 32)
    with torch.inference_mode():
        assert torch.allclose(new(pixels)[:, :-1], model(pixels))
    assert all(torch.equal(part, before[name]) for name, part in model.state_dict().items())
    # Its weights are the same for every seed of a lock, and every worker that takes it up.
    again, _ = add_class(model, card, "no spell")
    assert all(torch.equal(a, b) for a, b in zip(new.parameters(), again.parameters(), strict=True))


def test_an_imported_model_can_be_fine_tuned_and_saved(folder, tmp_path):
    model, card = replace_head(*import_folder(folder), 2)
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, 64)
    images = generator.integers(0, 100, (64, 3, 32, 32), np.uint8) + 100 * labels.astype(
        np.uint8
    ).reshape(-1, 1, 1, 1)
    model = fit(model, card, Split(images, labels.astype(np.int64)), Recipe(epochs=1, batch=16))
    weights.save(model, card, tmp_path / "tuned")
    loaded, _ = weights.load(tmp_path / "tuned")
    pixels = torch.rand(2, 3, 32, 32)
    assert torch.equal(loaded(pixels), model(pixels))


def _differing(one: nn.Module, other: nn.Module) -> set[str]:
    parts = other.state_dict()
    return {name for name, part in one.state_dict().items() if not torch.equal(part, parts[name])}
