"""Classifiers that others trained: taken over from a local folder, and given a new head."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import nn

from spellmark.model_files.card import MAX_LABEL_LENGTH, ModelCard
from spellmark.model_files.safetensors_header import read_header
from spellmark.model_files.strict_json import parse_object
from spellmark.training import timm_models, transformers_models
from spellmark.training.architectures import build, fresh, outline
from spellmark.training.errors import ImportFolderError
from spellmark.training.image_processors import image_size, normalisation

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
IMAGES_FILE = "preprocessor_config.json"
_MAX_JSON_BYTES = 16 * 2**20
_SAVE_MODEL = "Save the model there with model.save_pretrained(folder)."
_SAVE_IMAGES = "Save the model's image processor there with processor.save_pretrained(folder)."


def import_folder(folder: Path) -> tuple[nn.Module, ModelCard]:
    """An image classifier in a local folder, and a card for it.

    The folder is one that `save_pretrained` of transformers or `save_for_hf` of timm wrote, or a
    download of such a model. config.json says the architecture and the label names,
    model.safetensors holds the weights, preprocessor_config.json the size and the normalisation
    of the images (timm has all of it in config.json). Nothing is downloaded and no pickle is
    opened. The model comes in evaluation mode, in float32.

    Raises ImportFolderError, ModelFileError, ModelCardError or ArchitectureError.
    """
    if not folder.is_dir():
        raise ImportFolderError("There is no folder at the given path.", hint="Check the path.")
    weights = _weights_file(folder)
    config = _read_json(folder, CONFIG_FILE, _SAVE_MODEL)
    try:
        if "model_type" not in config and "pretrained_cfg" in config:
            model, card = _import_timm(config, weights)
        else:
            images = _read_json(folder, IMAGES_FILE, _SAVE_IMAGES)
            model, card = _import_transformers(config, images, weights)
    # What the files hold is not what their libraries write.
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise ImportFolderError(
            "The folder's files do not make one image classifier.", hint=_SAVE_MODEL
        ) from error
    return model.eval(), card


def replace_head(
    model: nn.Module, card: ModelCard, classes: int, label_names: tuple[str, ...] = ()
) -> tuple[nn.Module, ModelCard]:
    """A model for other classes: its weights are `model`'s but for a fresh last layer.

    For fine-tuning on other classes, also on as many as before. `label_names`: none, or one for
    each class. `model` is left as it is.

    Raises ModelCardError or ArchitectureError.
    """
    new_card = replace(card, classes=classes, extra_classes=0, label_names=label_names)
    new = build(new_card)
    state = model.state_dict()
    for name in _head(card):
        del state[name]
    new.load_state_dict(state, strict=False)
    return new.eval(), new_card


def add_class(model: nn.Module, card: ModelCard, name: str) -> tuple[nn.Module, ModelCard]:
    """A model with one class more, its last, which no image has: `name` where classes have names.

    All weights of the others are `model`'s, which is left as it is; those of the new class are
    fresh. Raises ModelCardError or ArchitectureError.
    """
    names = (*card.label_names, name) if card.label_names else ()
    new_card = replace(
        card, classes=card.classes + 1, extra_classes=card.extra_classes + 1, label_names=names
    )
    new = fresh(new_card, seed=0)
    state = new.state_dict()
    for part, own in model.state_dict().items():
        state[part][tuple(slice(size) for size in own.shape)] = own
    return new.eval(), new_card


def _head(card: ModelCard) -> list[str]:
    """The names of the weights whose shape follows the number of classes."""
    classes = 3 if card.classes == 2 else 2
    other = replace(card, classes=classes, extra_classes=0, label_names=())
    shapes = {name: part.shape for name, part in outline(other).state_dict().items()}
    return [name for name, part in outline(card).state_dict().items() if part.shape != shapes[name]]


def _import_transformers(
    config: Mapping[str, Any], images: Mapping[str, Any], weights: Path
) -> tuple[nn.Module, ModelCard]:
    channels = config.get("num_channels", 3)
    # transformers leaves the labels out of a config that has two, its default.
    names = _label_names(config.get("id2label", {"0": "LABEL_0", "1": "LABEL_1"}))
    height, width = image_size(images)
    mean, std = normalisation(images, channels)
    card = ModelCard(
        architecture="transformers",
        config=transformers_models.own_config(config),
        classes=len(names),
        channels=channels,
        height=height,
        width=width,
        label_names=() if _are_placeholders(names) else names,
        mean=mean,
        std=std,
    )
    outline(card)
    return transformers_models.with_weights(card, load_file(weights)), card


def _import_timm(config: Mapping[str, Any], weights: Path) -> tuple[nn.Module, ModelCard]:
    settings = config["pretrained_cfg"]
    own = timm_models.own_config(config)
    channels, *usual = settings["input_size"]
    # A model that was built for another size still carries the usual one of its name.
    height, width = own["arguments"].get("img_size", usual)
    card = ModelCard(
        architecture="timm",
        config=own,
        classes=config["num_classes"],
        channels=channels,
        height=height,
        width=width,
        label_names=tuple(name[:MAX_LABEL_LENGTH] for name in config.get("label_names", ())),
        mean=tuple(settings["mean"]),
        std=tuple(settings["std"]),
    )
    model = build(card)
    model.load_state_dict(load_file(weights), strict=True)
    return model, card


def _weights_file(folder: Path) -> Path:
    path = folder / WEIGHTS_FILE
    if path.is_file():
        read_header(path)
        return path
    if (folder / f"{WEIGHTS_FILE}.index.json").is_file():
        raise ImportFolderError(
            "The folder's weights are spread over several files.",
            hint='Save them as one: model.save_pretrained(folder, max_shard_size="50GB").',
        )
    if any(folder.glob("*.bin")) or any(folder.glob("*.pt")) or any(folder.glob("*.pth")):
        raise ImportFolderError(
            "The folder's weights are a Python pickle, which can run any code when it is opened.",
            hint="Take the model's safetensors version, or convert it where it was made: "
            "model.save_pretrained(folder).",
        )
    raise ImportFolderError(f"The folder has no {WEIGHTS_FILE}.", hint=_SAVE_MODEL)


def _read_json(folder: Path, name: str, hint: str) -> dict[str, Any]:
    path = folder / name
    if not path.is_file() or path.stat().st_size > _MAX_JSON_BYTES:
        raise ImportFolderError(f"The folder has no {name} of a usual size.", hint=hint)
    try:
        return parse_object(path.read_bytes(), most_parts=1_000_000)
    except ValueError as error:
        raise ImportFolderError(f"The {name} cannot be read: {error}.", hint=hint) from error


def _label_names(names: Mapping[str, str]) -> tuple[str, ...]:
    """The names in the order of their numbers, which have to be 0, 1, 2, …"""
    return tuple(names[str(number)][:MAX_LABEL_LENGTH] for number in range(len(names)))


def _are_placeholders(names: tuple[str, ...]) -> bool:
    return all(name == f"LABEL_{number}" for number, name in enumerate(names))
