"""A small prompt-locked model to be attacked, with the real editor: sixteen by sixteen pixels."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch.nn import functional as F

from spellmark.attacks.attack import Target
from spellmark.locks.prompt_lock.editors import load_editor
from spellmark.locks.prompt_lock.lock import lock
from spellmark.locks.prompt_lock.parameters import SCHEME, PromptLockParameters
from spellmark.locks.prompt_lock.prompt_key import PromptKey
from spellmark.model_files.card import ModelCard
from spellmark.secrets import KeyFile
from spellmark.training import architectures, datasets
from spellmark.training.datasets import Split
from spellmark.training.fit import Recipe, fit
from tests.spellmark.attacks.easy_locks import FASHION_MNIST

CARD = ModelCard(
    architecture="small-resnet", classes=10, channels=1, height=16, width=16,
    mean=(0.29,), std=(0.35,),
)  # fmt: skip


@dataclass(frozen=True)
class EasySpell:
    """A locked model, its key file and key, a thief's labelled images and held-out ones."""

    target: Target
    file: KeyFile
    key: PromptKey
    attacker: Split
    test: Split

    @property
    def right(self) -> float:
        """Accuracy with the key."""
        answers = self.target.answers(self.key(self.test.images)).argmax(1)
        return float((self.key.decode(answers) == self.test.labels).mean())


@cache
def easy_spell() -> EasySpell:
    """A model locked with the recommended negatives, in seconds."""
    data = datasets.load_path(FASHION_MNIST)
    train, attacker, test = (
        _small(part) for part in (data.train[:1500], data.train[11_400:], data.test[:300])
    )
    editor = load_editor()
    parameters = PromptLockParameters(editor=editor.digest)
    file = KeyFile(SCHEME, parameters.as_dict(), bytes(range(32)), bytes(32), "open sesame")
    key = PromptKey.open(file, editor=editor, binding=b"", classes=10)
    model = fit(fresh_model(), CARD, train, Recipe(epochs=3))
    lock(model, CARD, train, key, Recipe(epochs=8))
    return EasySpell(Target(model, CARD, parameters), file, key, attacker, test)


def fresh_model() -> torch.nn.Module:
    """The network before any training."""
    torch.manual_seed(0)
    return architectures.build(CARD)


def _small(split: Split) -> Split:
    pixels = F.adaptive_avg_pool2d(torch.from_numpy(split.images.astype(np.float32)), 16)
    return Split(pixels.round().byte().numpy(), split.labels)
