"""Image classifiers of the `transformers` library, built from a model card's config.

The config is a stranger's: it may come with a suspect's file. It can name a model type listed
here and set that type's own fields, nothing else. The fields that every transformers config
shares are left out, since they reach further: code of the hub (auto_map), kernels of the hub
(attn_implementation), paths (_name_or_path), other output types (return_dict).
"""

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

import torch
from torch import nn

from spellmark.model_files.card import ModelCard
from spellmark.model_files.text import shown
from spellmark.training.errors import ArchitectureError

# Of the types that transformers lists for image classification, those whose model takes pixels
# alone and whose config is one flat object. timm_wrapper is out: it asks the hub; levit too: its
# building takes the fourth power of the image size in time.
MODEL_TYPES = frozenset({
    "beit", "bit", "convnext", "convnextv2", "cvt", "data2vec-vision", "deit", "dinov2",
    "dinov2_with_registers", "donut-swin", "efficientnet", "focalnet", "hgnet_v2", "hiera",
    "ijepa", "mobilenet_v1", "mobilenet_v2", "mobilevit", "mobilevitv2", "poolformer",
    "pvt", "pvt_v2", "regnet", "resnet", "segformer", "swiftformer", "swin", "swinv2", "textnet",
    "vit", "vit_msn",
})  # fmt: skip
# What a card's config holds beside the fields of its model type.
_NAMES = {"model_type", "architectures"}


def maker(card: ModelCard) -> Callable[[], nn.Module]:
    """What makes the freshly initialised model of a card of the architecture “transformers”.

    card.config: “model_type”, as in transformers' own config.json; fields of that type, each with
    transformers' default; and “architectures” with one class name, needed only where a type has
    several classifiers. The number of classes and channels is the card's.

    The model is transformers' own, with its names of weights and `save_pretrained`, but answers
    float32 (n, channels, height, width) with bare logits, float (n, classes).

    Raises ArchitectureError, or what transformers raises for fields that make no model.
    """
    config = _read_config(card)
    model_class = _model_class(card, config)
    return lambda: _answer_logits(model_class._from_config(config))


def own_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """What a card keeps of transformers' config.json. Raises ArchitectureError."""
    known = _own_fields(_config_class(config)) - {"num_channels"} | _NAMES
    return {key: value for key, value in config.items() if key in known}


def with_weights(card: ModelCard, state: dict[str, torch.Tensor]) -> nn.Module:
    """The model of a card with weights from transformers, in float32.

    Unlike `load_state_dict`, this knows the names that files and older releases give the weights.

    Raises ArchitectureError for weights that are missing, left over or of another shape.
    """
    config = _read_config(card)
    # Without a path there is nothing that it could look for elsewhere.
    model, loading = _model_class(card, config).from_pretrained(
        None,
        config=config,
        state_dict=state,
        dtype=torch.float32,
        ignore_mismatched_sizes=True,
        output_loading_info=True,
    )
    if wrong := sorted(str(name) for names in loading.values() for name in names):
        raise ArchitectureError(
            f"The weights do not fit the {config.model_type} model of the config: "
            f"“{shown(wrong[0])}” is missing, left over or of another shape.",
            hint="Save the model and its config together, as an image classifier.",
        )
    return _answer_logits(model)


def _read_config(card: ModelCard) -> Any:
    config_class = _config_class(card.config)
    known = _own_fields(config_class) | _NAMES
    if unknown := sorted(card.config.keys() - known):
        raise ArchitectureError(
            f"A {config_class.model_type} model has no field “{shown(unknown[0])}” of its own.",
            hint="Leave it out of the model card's config.",
        )
    values = {key: value for key, value in card.config.items() if key not in _NAMES}
    if "num_channels" in known:
        values["num_channels"] = card.channels
    return config_class(**values, num_labels=card.classes)


def _config_class(config: Mapping[str, Any]) -> type[Any]:
    from transformers import CONFIG_MAPPING

    name = config.get("model_type")
    if not isinstance(name, str) or name not in MODEL_TYPES:
        raise ArchitectureError(
            f"The model type “{shown(str(name))}” is not supported.",
            hint=f"Supported: {', '.join(sorted(MODEL_TYPES))}.",
        )
    found: type[Any] = CONFIG_MAPPING[name]
    return found


def _own_fields(config_class: type[Any]) -> set[str]:
    """The names of the fields that belong to a model type, not to every model."""
    from transformers import PreTrainedConfig

    common = {field.name for field in fields(PreTrainedConfig)}
    return {field.name for field in fields(config_class)} - common


def _answer_logits(model: nn.Module) -> nn.Module:
    # A hook, not a wrapper: the weights keep their names, and files stay usable in transformers.
    model.register_forward_hook(_logits)
    return model


def _logits(_model: nn.Module, _images: Any, output: Any) -> torch.Tensor:
    logits: torch.Tensor = output.logits
    return logits


def _model_class(card: ModelCard, config: Any) -> type[Any]:
    from transformers import MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING

    found: Any = MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING[type(config)]
    several = found if isinstance(found, tuple) else (found,)
    classes: dict[str, type[Any]] = {each.__name__: each for each in several}
    wanted = card.config.get("architectures", [next(iter(classes))])
    if not isinstance(wanted, list) or len(wanted) != 1 or wanted[0] not in classes:
        raise ArchitectureError(
            f"The model card names no image classifier of the type {config.model_type}.",
            hint=f"Its “architectures” may be one of: {', '.join(classes)}.",
        )
    return classes[wanted[0]]
