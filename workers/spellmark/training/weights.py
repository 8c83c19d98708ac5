"""Models as safetensors files that carry their card."""

import os
import tempfile
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import nn

from spellmark.errors import SpellmarkError
from spellmark.model_files.card import ModelCard
from spellmark.model_files.inspect import inspect_model_file
from spellmark.training.architectures import build


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

    Raises ModelFileError for a file that is not sound, WeightsError for weights that do not fit.
    """
    info = inspect_model_file(path)
    if info.format != "safetensors":
        raise WeightsError(
            f"This is an {info.format.upper()} file, which cannot be trained here.",
            hint="Save the weights as safetensors with a Spellmark model card.",
        )
    card = ModelCard.from_metadata(info.metadata)
    model = build(card)
    try:
        model.load_state_dict(load_file(path), strict=True)
    except RuntimeError as error:
        raise WeightsError(
            f"The weights do not fit the architecture “{card.architecture}” of the model card.",
            hint="Save the file with the card of the model that was trained.",
        ) from error
    return model.eval(), card
