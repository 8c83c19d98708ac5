"""Edits kept on disk: an editor is slow, and a lost worker's edits need not be made again."""

import hashlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from spellmark.locks.prompt_lock.editors import Editor
from spellmark.locks.prompt_lock.parameters import PromptLockParameters
from spellmark.locks.prompt_lock.spells import Embedding

Images = npt.NDArray[np.uint8]


class CachedEditor(Editor):
    """An editor that keeps what it made in a folder, by the digest of all that went into it.

    The files show what a spell does: keep the folder as safe as a key file, and erase it.
    """

    def __init__(self, editor: Editor, folder: Path) -> None:
        super().__init__(editor.pipeline, editor.digest)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder = folder

    def edit(
        self, images: Images, embeddings: Sequence[Embedding], parameters: PromptLockParameters
    ) -> Images:
        """As an editor's."""
        name = hashlib.sha256(repr((self.digest, images.shape, parameters)).encode())
        name.update(images.tobytes())
        for one in embeddings:
            name.update(repr(one.shape).encode() + one.astype("<f8").tobytes())
        path = self.folder / f"{name.hexdigest()}.npy"
        if path.exists():
            kept: Images = np.load(path)
            return kept
        edited = super().edit(images, embeddings, parameters)
        # Of a name of its own, for others may fill the folder too; and nobody else reads it.
        descriptor, temporary = tempfile.mkstemp(dir=self.folder, suffix=".part")
        with os.fdopen(descriptor, "wb") as file:
            np.save(file, edited)
        Path(temporary).replace(path)
        return edited
