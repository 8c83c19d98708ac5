"""What the benchmarks of prompt locks share: models before any lock, and keys."""

import torch
from kept import CACHE
from key_lock_accuracy import CARD

from spellmark.locks.prompt_lock.editors import Editor
from spellmark.locks.prompt_lock.parameters import SCHEME, PromptLockParameters
from spellmark.locks.prompt_lock.prompt_key import PromptKey
from spellmark.secrets import KeyFile
from spellmark.training import architectures
from spellmark.training.datasets import Split
from spellmark.training.fit import Recipe, fit

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
