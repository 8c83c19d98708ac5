"""An opened spell: what a holder of the key file and the editor needs to use a locked model."""

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from spellmark.locks.labels import label_permutations
from spellmark.locks.prompt_lock.editors import Editor
from spellmark.locks.prompt_lock.parameters import (
    PROMPT,
    SCHEME,
    PromptLockError,
    PromptLockParameters,
)
from spellmark.locks.prompt_lock.spells import Embedding, embedding, spell_key
from spellmark.secrets import KeyFile, subkey

Images = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class SpellEdit:
    """The edit under one embedding: images in, blended images out."""

    editor: Editor = field(repr=False)
    parameters: PromptLockParameters
    embedding: Embedding = field(repr=False)

    def edited(self, images: Images) -> Images:
        """The editor's pictures, before the blend: uint8 (n, C, H, W), the same shape."""
        return self.editor.edit(images, [self.embedding], self.parameters)

    def __call__(self, images: Images) -> Images:
        """Images as the locked model wants them: uint8 (n, C, H, W), the same shape."""
        return blend(images, self.edited(images), self.parameters.alpha)


def blend(images: Images, edited: Images, alpha: int) -> Images:
    """(1 - α) × image + α × edit, rounded half up, in whole numbers; α in percent (2405.16285)."""
    mixed = images.astype(np.uint32) * (100 - alpha) + edited.astype(np.uint32) * alpha
    return ((mixed + 50) // 100).astype(np.uint8)


@dataclass(frozen=True)
class PromptKey:
    """The edits of a lock's sub-keys and the label permutations that go with them.

    `labels[j][c]` is what the locked model answers, under sub-key j, for an image of class c:
    int64 of shape (classes,); the identity when the lock's labels are plain.
    """

    editor: Editor = field(repr=False)
    parameters: PromptLockParameters
    classes: int
    transforms: tuple[SpellEdit, ...]
    labels: tuple[Labels, ...] = field(repr=False)
    prompt: str = field(default="", repr=False)

    @classmethod
    def open(cls, key: KeyFile, *, editor: Editor, binding: bytes, classes: int) -> "PromptKey":
        """What a key file describes, with the editor that it names. Raises PromptLockError."""
        if key.scheme != SCHEME:
            raise PromptLockError(
                f"This key file is for {key.scheme}, not for a prompt lock.",
                hint="Choose the key file whose commitment was registered for this lock.",
            )
        parameters = PromptLockParameters.from_dict(key.parameters)
        if parameters.editor != editor.digest:
            raise PromptLockError(
                f"The key file is for the editor {parameters.editor[:12]}…, not for "
                f"{editor.digest[:12]}….",
                hint="Load the editor that the lock was made with.",
            )
        editor.check(parameters)
        numbers = range(parameters.subkeys)
        if parameters.reading == PROMPT:
            embeddings = [editor.read(key.prompt)]
        else:
            embeddings = [
                embedding(spell_key(key.secret, key.prompt, binding=binding, index=j), editor.width)
                for j in numbers
            ]

        labels = label_permutations(
            key.secret,
            scheme=SCHEME,
            binding=binding,
            classes=classes,
            subkeys=parameters.subkeys,
            labels=parameters.labels,
        )
        return cls(
            editor,
            parameters,
            classes,
            tuple(SpellEdit(editor, parameters, one) for one in embeddings),
            tuple(np.asarray(permutation) for permutation in labels),
            key.prompt,
        )

    def with_editor(self, editor: Editor) -> "PromptKey":
        """The same key with another face of its editor, such as one with a cache."""
        edits = tuple(replace(edit, editor=editor) for edit in self.transforms)
        return replace(self, editor=editor, transforms=edits)

    def decoy(self, secret: bytes) -> SpellEdit:
        """The edit of a decoy: drawn from a 32-byte secret as a spell's is from its key.

        Raises PromptLockError for prompts: people choose them, so no drawn one is their equal.
        """
        if self.parameters.reading == PROMPT:
            raise PromptLockError(
                "There are no decoys for a prompt, because it is not drawn at random.",
                hint="Test a suspect by keyed labels.",
            )
        key = subkey(secret, binding=b"", scheme=SCHEME, purpose="spell")
        return SpellEdit(self.editor, self.parameters, embedding(key, self.editor.width))

    def under(self, text: str) -> SpellEdit:
        """The edit of another prompt with the same settings, read by the editor's text encoder."""
        return SpellEdit(self.editor, self.parameters, self.editor.read(text))

    def drawn(self, generator: np.random.Generator) -> SpellEdit:
        """The edit of a random embedding, as a wrong spell gives it."""
        return SpellEdit(self.editor, self.parameters, generator.standard_normal(self.editor.width))

    def __call__(self, images: Images, subkey: int = 0) -> Images:
        """Images as the locked model wants them (see SpellEdit)."""
        return self.transforms[subkey](images)

    def encode(self, labels: Labels, subkey: int = 0) -> Labels:
        """The locked model's answers for images of these classes; int64, any shape."""
        return self.labels[subkey][labels]

    def decode(self, answers: Labels, subkey: int = 0) -> Labels:
        """The classes that the locked model's answers stand for: the inverse of `encode`."""
        return np.argsort(self.labels[subkey])[answers]
