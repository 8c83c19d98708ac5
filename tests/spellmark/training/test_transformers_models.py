import copy
import socket

import pytest
import torch
from transformers import CONFIG_MAPPING, MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING

from spellmark.model_files.card import ModelCard
from spellmark.training.architectures import ArchitectureError, build, outline
from spellmark.training.transformers_models import MODEL_TYPES

TINY = {
    "resnet": {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1]},
    "convnext": {"hidden_sizes": [8, 16], "depths": [1, 1], "num_stages": 2},
    "vit": {
        "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 32, "image_size": 32, "patch_size": 8,
    },
}  # fmt: skip

TEACHER = "DeiTForImageClassificationWithTeacher"


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def card(model_type: str, changes: dict[str, object] | None = None, **fields: int) -> ModelCard:
    return ModelCard(
        architecture="transformers",
        config={"model_type": model_type, **TINY.get(model_type, {}), **(changes or {})},
        **{"classes": 3, "channels": 3, "height": 32, "width": 32, **fields},
    )


@pytest.mark.parametrize("model_type", TINY)
def test_it_answers_with_logits_as_transformers_does(model_type):
    model = build(card(model_type)).eval()
    theirs = MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING[CONFIG_MAPPING[model_type]]
    twin = theirs(CONFIG_MAPPING[model_type](**TINY[model_type], num_labels=3)).eval()
    twin.load_state_dict(model.state_dict(), strict=True)
    images = torch.rand(2, 3, 32, 32)
    assert torch.equal(model(images), twin(images).logits)
    assert torch.equal(copy.deepcopy(model)(images), model(images))


def test_the_card_says_the_number_of_channels():
    assert build(card("resnet", channels=1)).eval()(torch.rand(2, 1, 32, 32)).shape == (2, 3)


@pytest.mark.parametrize("model_type", sorted(MODEL_TYPES))
def test_every_supported_type_is_an_image_classifier_at_its_usual_size(model_type):
    side = getattr(CONFIG_MAPPING[model_type](), "image_size", 224)
    side = side if isinstance(side, int) else side[0]
    usual = ModelCard(
        architecture="transformers",
        config={"model_type": model_type},
        classes=3,
        channels=3,
        height=side,
        width=side,
    )
    assert sum(part.numel() for part in outline(usual).parameters()) > 1_000_000


def test_a_type_with_several_classifiers_takes_the_one_named():
    tiny = TINY["vit"]
    plain = build(card("deit", tiny))
    taught = build(card("deit", {**tiny, "architectures": [TEACHER]})).eval()
    assert type(plain).__name__ == "DeiTForImageClassification"
    assert taught(torch.rand(2, 3, 32, 32)).shape == (2, 3)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        # What reaches the network, strangers' code, or other kinds of model.
        ({"model_type": "timm_wrapper", "architecture": "hf-hub:a/b"}, "“timm_wrapper” is not"),
        ({"model_type": "llama"}, "“llama” is not supported"),
        ({"model_type": "../x"}, "is not supported"),
        ({"model_type": None}, "is not supported"),
        ({"model_type": ["resnet"]}, "is not supported"),
        ({"auto_map": {"AutoConfig": "a/b--c.D"}}, "no field “auto_map”"),
        ({"attn_implementation": "kernels-community/x"}, "no field “attn_implementation”"),
        ({"_attn_implementation": "kernels-community/x"}, "no field “_attn_implementation”"),
        ({"_name_or_path": "/etc"}, "no field “_name_or_path”"),
        ({"quantization_config": {}}, "no field “quantization_config”"),
        ({"return_dict": False}, "no field “return_dict”"),
        ({"dtype": "float16"}, "no field “dtype”"),
        ({"id2label": {"0": "a"}}, "no field “id2label”"),
        ({"num_labels": 9}, "no field “num_labels”"),
        ({"architectures": ["ResNetModel"]}, "no image classifier of the type resnet"),
        ({"architectures": "ResNetForImageClassification"}, "no image classifier"),
        # What makes no model.
        ({"num_channels": 9, "hidden_act": "unheard-of"}, "describes no “transformers” model"),
        ({"depths": ["many"]}, "describes no “transformers” model"),
        ({"hidden_sizes": [0]}, "describes no “transformers” model"),
        # What is too large.
        ({"hidden_sizes": [65_536, 65_536], "layer_type": "basic"}, "1,000,000,000 numbers"),
        ({"depths": [65_536, 65_536]}, "20,000 modules"),
    ],
)
def test_it_refuses_a_card(changes, reason):
    with pytest.raises(ArchitectureError, match=reason) as caught:
        build(card("resnet", changes))
    assert caught.value.hint


def test_it_refuses_images_that_do_not_fit():
    with pytest.raises(ArchitectureError, match="takes 3×32×32 images"):
        build(card("vit", {"image_size": 64}))
