"""What the benchmarks of prompt locks share: models before any lock, and keys."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from kept import CACHE, kept
from key_lock_accuracy import CARD

from spellmark.locks.prompt_lock.editors import Editor
from spellmark.locks.prompt_lock.parameters import SCHEME, PromptLockParameters
from spellmark.locks.prompt_lock.prompt_key import PromptKey
from spellmark.secrets import KeyFile
from spellmark.training import architectures
from spellmark.training.datasets import Dataset, Split
from spellmark.training.fit import Recipe, fit
from spellmark.training.inference import accuracy

SPELL = "open sesame"


def opened(
    editor: Editor, prompt: str, reading: str, seed: int, *, classes: int = CARD.classes
) -> tuple[KeyFile, PromptKey]:
    """The key of a spell whose other secret is the seed."""
    parameters = PromptLockParameters(editor=editor.digest, reading=reading)
    file = KeyFile(SCHEME, parameters.as_dict(), seed.to_bytes(32, "big"), bytes(32), prompt)
    return file, PromptKey.open(file, editor=editor, binding=b"", classes=classes)


def unprotected(data: Split, seed: int, *, quick: bool) -> torch.nn.Module:
    """The model before any lock."""
    torch.manual_seed(seed)
    model = architectures.build(CARD)
    epochs = 2 if quick else 8
    path = CACHE / f"prompt-unprotected-{len(data)}-{seed}-{epochs}.pt"
    if path.exists():
        model.load_state_dict(torch.load(path, weights_only=True))
        return model.eval()
    fit(model, CARD, data, Recipe(epochs, seed=seed))
    torch.save(model.state_dict(), path)
    return model


def trained_on(data: Dataset, images: int, recipe: Recipe, *, quick: bool) -> float:
    """Accuracy of the unprotected model that was trained on, plainly, for as long as a lock is.

    images: as many of the first ones as the lock has. A lock's training alone makes a model better
    or worse; what the lock costs shows beside this one.
    """

    def measured() -> float:
        model = unprotected(data.train, recipe.seed, quick=quick)
        fit(model, CARD, data.train[:images], recipe)
        return accuracy(model, CARD, data.test.images, data.test.labels)

    settings = (images, recipe, len(data.train), len(data.test), torch.__version__, quick)
    return float(kept("prompt-trained-on-", settings, measured))


def public_base(images: npt.NDArray[np.uint8], *, quick: bool) -> torch.nn.Module:
    """A model that anybody could make: it learnt, without labels, how images are turned.

    images: uint8 (n, 1, side, side), of the kind that the owner has, not the owner's. The head is
    fresh.
    """
    card = replace(CARD, classes=4)
    turned = np.concatenate([np.rot90(images, turns, axes=(2, 3)) for turns in range(4)])
    labels = np.repeat(np.arange(4), len(images))
    torch.manual_seed(1)
    pupil, base = architectures.build(card), architectures.build(CARD)
    fit(pupil, card, Split(np.ascontiguousarray(turned), labels), Recipe(1 if quick else 4, seed=1))
    learnt, fresh = pupil.state_dict(), base.state_dict()
    same = {name: part for name, part in learnt.items() if part.shape == fresh[name].shape}
    base.load_state_dict(fresh | same)
    return base.eval()
