"""Models as safetensors files that carry their card."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import nn

from spellmark.errors import SpellmarkError
from spellmark.model_files.card import ModelCard
from spellmark.model_files.inspect import inspect_model_file
from spellmark.model_files.safetensors_header import TensorInfo
from spellmark.training.architectures import build, outline

# Buffers that a model computes for itself, such as position tables, are in no file.
MAX_UNSAVED_NUMBERS = 2**24


class WeightsError(SpellmarkError):
    """A model file whose weights do not fit its card."""


def save(model: nn.Module, card: ModelCard, path: Path) -> None:
    """Write the weights and the card to `path`, whole or not at all."""
    tensors = {name: tensor.contiguous().cpu() for name, tensor in model.state_dict().items()}
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(descriptor)
    try:
        save_file(tensors, temporary, metadata=card.to_metadata())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def load(path: Path) -> tuple[nn.Module, ModelCard]:
    """Read a safetensors file and build the model of its card, in evaluation mode.

    The card's model is compared with the file's tensors before any memory is taken, so that a small
    file cannot ask for a large model.

    Raises ModelFileError for a file that is not sound, ModelCardError for one without a card,
    ArchitectureError for a card whose model cannot be built, WeightsError for weights that do not
    fit it.
    """
    info = inspect_model_file(path)
    if info.format != "safetensors":
        raise WeightsError(
            f"This is an {info.format.upper()} file, which cannot be trained here.",
            hint="Save the weights as safetensors with a Spellmark model card.",
        )
    card = ModelCard.from_metadata(info.metadata)
    if not _fit(info.tensors, outline(card)):
        raise WeightsError(
            f"The weights do not fit the architecture “{card.architecture}” of the model card.",
            hint="Save the file with the card of the model that was trained.",
        )
    model = build(card)
    model.load_state_dict(load_file(path), strict=True)
    return model.eval(), card


def _fit(tensors: Sequence[TensorInfo], model: nn.Module) -> bool:
    saved = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    unsaved = sum(part.numel() for name, part in model.named_buffers() if name not in saved)
    same = saved == {tensor.name: tensor.shape for tensor in tensors}
    return same and unsaved <= MAX_UNSAVED_NUMBERS
