import importlib.util
import sys
from pathlib import Path

import pytest
import torch

from spellmark.model_files.card import ModelCard
from spellmark.training import weights
from spellmark.training.architectures import ArchitectureError, build
from spellmark.training.pretrained import import_folder, replace_head

needs_timm = pytest.mark.skipif(
    importlib.util.find_spec("timm") is None,
    reason="timm is not installed; it needs the torchvision that belongs to the installed torch",
)


def card(name: object = "test_resnet.r160_in1k", side: int = 32, **config: object) -> ModelCard:
    return ModelCard(
        architecture="timm", config={"name": name, **config},
        classes=3, channels=1, height=side, width=side,
    )  # fmt: skip


def test_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ArchitectureError, match="timm library, which is not installed") as caught:
        build(card())
    assert "pip install timm" in caught.value.hint


@needs_timm
@pytest.mark.parametrize(
    ("name", "arguments", "side"),
    [
        ("test_resnet.r160_in1k", {}, 32),
        ("test_convnext", {}, 64),
        ("test_vit", {"img_size": 32, "patch_size": 4}, 32),
    ],
)
def test_it_answers_the_same_after_it_is_saved(name, arguments, side, tmp_path):
    made = card(name, side, arguments=arguments)
    model = build(made).eval()
    images = torch.rand(2, 1, side, side)
    weights.save(model, made, tmp_path / "m")
    loaded, loaded_card = weights.load(tmp_path / "m")
    assert loaded_card == made
    assert model(images).shape == (2, 3)
    assert torch.equal(loaded(images), model(images))


@needs_timm
def test_it_imports_a_folder_and_replaces_the_head(tmp_path: Path):
    import timm
    from timm.models import save_for_hf

    theirs = timm.create_model("test_vit", num_classes=4, in_chans=1, img_size=32).eval()
    save_for_hf(theirs, tmp_path / "folder", safe_serialization=True)
    model, made = import_folder(tmp_path / "folder")
    assert (made.classes, made.channels, made.height, made.width) == (4, 1, 32, 32)
    images = torch.rand(2, 1, 32, 32)
    assert torch.equal(model(images), theirs(images))
    new, new_card = replace_head(model, made, 7)
    assert new_card.classes == 7
    assert new(images).shape == (2, 7)


@needs_timm
@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (card("hf-hub:timm/resnet18.a1_in1k"), "timm has no model"),
        (card("hf_hub:timm/resnet18.a1_in1k"), "timm has no model"),
        (card("local-dir:/tmp"), "timm has no model"),
        (card(None), "timm has no model"),
        (card(pretrained=True), "more than a name and arguments"),
        (card(arguments={"checkpoint_path": "/etc/passwd"}), "more than a name and arguments"),
        (card(arguments=[1]), "more than a name and arguments"),
        (card(arguments={"layers": [["x"]]}), "more than a name and arguments"),
        (card(arguments={"pretrained": True}), "describes no “timm” model"),
        (card(arguments={"checkpoint_path": 3}), "describes no “timm” model"),
        (card(arguments={"global_pool": "/etc/passwd"}), "describes no “timm” model"),
        (card(arguments={"num_classes": 9}), "describes no “timm” model"),
        (card(arguments={"features_only": True}), "does not answer with 3 numbers"),
        (card("vit_tiny_patch16_224", 32), "describes no “timm” model that takes 1×32×32"),
    ],
)
def test_it_refuses_a_card(made, reason):
    with pytest.raises(ArchitectureError, match=reason):
        build(made)
