"""The file of a small editor, as `spellmark editor train` writes it. Nothing here loads torch."""

from functools import cache
from pathlib import Path

from spellmark.locks.prompt_lock.parameters import PromptLockError
from spellmark.locks.prompt_lock.public_editor import PUBLIC
from spellmark.model_files.inspect import ModelFileInfo, inspect_model_file

FORMAT = "tiny-editor/v1"
METADATA_KEY = "spellmark.editor"
# Of training that make the public editor an owner's: fewer leave it too much like the public one.
OWNERS_STEPS = 1500

Outline = dict[str, tuple[str, tuple[int, ...]]]


def check_editor_file(path: Path) -> None:
    """Refuse whatever has not the tensors of the editor that comes with Spellmark.

    Names, dtypes and shapes are compared; no tensor is loaded. Raises ModelFileError and
    PromptLockError.
    """
    info = inspect_model_file(path)
    if info.metadata.get(METADATA_KEY) != FORMAT or _outline(info) != _wanted():
        raise PromptLockError(
            "This is no editor of Spellmark.",
            hint="Choose a file that `spellmark editor train` wrote.",
        )


@cache
def _wanted() -> Outline:
    return _outline(inspect_model_file(PUBLIC))


def _outline(info: ModelFileInfo) -> Outline:
    return {tensor.name: (tensor.dtype, tensor.shape) for tensor in info.tensors}
