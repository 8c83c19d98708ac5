"""Using a locked model: open its key, and it answers as if it had never been locked."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import nn

from spellmark.errors import SpellmarkError
from spellmark.locks.key_lock import lock_key
from spellmark.locks.key_lock.parameters import SCHEME as KEY_LOCK
from spellmark.locks.key_lock.parameters import KeyLockError
from spellmark.locks.opened_key import Images, Labels, OpenedKey
from spellmark.locks.prompt_lock.parameters import SCHEME as PROMPT_LOCK
from spellmark.model_files.card import ModelCard
from spellmark.secrets import KeyFile
from spellmark.training import weights
from spellmark.training.inference import predict_probabilities


class BindingError(SpellmarkError):
    """A model that was locked under another binding than the one given."""


def open_key(
    file: KeyFile,
    *,
    shape: tuple[int, int, int],
    classes: int,
    binding: bytes | None = None,
    editor: str | Path | None = None,
) -> OpenedKey:
    """Open the key of a lock on a model for images of `shape` (channels, height, width).

    binding: the registry's where the commitment was registered; left out, the commitment itself.
    editor: of a prompt lock, a file, folder or name; left out, the one that comes with Spellmark.
    Raises KeyLockError and PromptLockError.
    """
    bound = bytes.fromhex(file.commitment()) if binding is None else binding
    if file.scheme == PROMPT_LOCK:
        # diffusers takes seconds to load, and key locks do without it.
        from spellmark.locks.prompt_lock.editors import load_editor
        from spellmark.locks.prompt_lock.prompt_key import PromptKey
        from spellmark.locks.prompt_lock.public_editor import PUBLIC

        opened = load_editor(editor or PUBLIC)
        return PromptKey.open(file, editor=opened, binding=bound, classes=classes)
    if file.scheme != KEY_LOCK:
        raise KeyLockError(
            f"This key file is for {file.scheme}, which is no lock.",
            hint="Choose the key file whose commitment was registered for the lock.",
        )
    return lock_key.LockKey.open(file, binding=bound, shape=shape, classes=classes)


@dataclass(frozen=True)
class Unlocked:
    """A locked model with its key: answers for plain images."""

    model: nn.Module
    card: ModelCard
    key: OpenedKey = field(repr=False)

    def __call__(self, images: Images) -> Labels:
        """The most likely class of each image: int64 (n,) for uint8 (n, C, H, W)."""
        answers: Labels = self.probabilities(images).argmax(1)
        return answers

    def probabilities(self, images: Images) -> npt.NDArray[np.float64]:
        """Class probabilities: float64 (n, classes) for uint8 images (n, C, H, W).

        What an extra class of the model takes is missing from their sums.
        """
        locked = predict_probabilities(self.model, self.card, self.key(images))
        # What is answered as encode(c) is the probability of class c.
        return locked[:, self.key.encode(np.arange(self.key.classes))]

    def without_key(self, images: Images) -> npt.NDArray[np.float64]:
        """What the locked model says to images as they are: float64 (n, classes)."""
        return predict_probabilities(self.model, self.card, images)


def unlock(
    model: Path,
    key: KeyFile | Path,
    *,
    binding: bytes | None = None,
    editor: str | Path | None = None,
) -> Unlocked:
    """A locked model, ready for plain images: `unlock(Path("locked.safetensors"), key)(images)`.

    Arguments as of `open_key`; left out, the binding is the one that the model's card tells. Raises
    BindingError, ModelFileError, KeyFileError and the lock's own error.
    """
    loaded, card = weights.load(Path(model))
    file = key if isinstance(key, KeyFile) else KeyFile.load(Path(key))
    shape = (card.channels, card.height, card.width)
    classes = card.classes - card.extra_classes
    bound = _binding(card, binding)
    opened = open_key(file, shape=shape, classes=classes, binding=bound, editor=editor)
    return Unlocked(loaded, card, opened)


def _binding(card: ModelCard, given: bytes | None) -> bytes | None:
    """What a locked model's key is opened with; None where neither card nor caller tells."""
    if not card.binding:
        return given
    told = bytes.fromhex(card.binding)
    if given not in (None, told):
        raise BindingError(
            "This model was locked under another binding: with the one given it answers nonsense.",
            hint="Leave the binding out, for the model's card tells it, or choose the model that "
            "belongs to it.",
        )
    return told
