"""How a prompt lock edits images, without its spell: the public part, fixed by the commitment."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, NoReturn, Self

from spellmark.errors import SpellmarkError
from spellmark.locks.fields import check_fields

SCHEME = "prompt-lock/v1"

SPELL, PROMPT = READINGS = ("spell", "prompt")
MOST_SUBKEYS = 32
MOST_STEPS = 1000
# How far an edit has to move images, root mean square of pixels in [0, 1]: weaker ones do not lock.
LEAST_STRENGTH = 0.06
# The same without negatives: under weaker edits plain images stay nearly as good as edited ones.
LEAST_ALONE = 0.2

# The defaults of ModelLock's public evaluation (2405.16285), for editors of its kind.
PUBLISHED: dict[str, int | str] = {
    "reading": PROMPT, "steps": 5, "guidance": "4.5", "image_guidance": "1.5", "alpha": 50,
    "seed": 1024, "size": 256,
}  # fmt: skip

_CHOICES = {
    "reading": READINGS,
    "precision": ("double", "single"),
    "labels": ("keyed", "plain"),
}
_WHOLE = {
    "steps": (1, MOST_STEPS),
    "alpha": (0, 100),
    "strength": (1, 100),
    "seed": (0, 2**32 - 1),
    "size": (0, 4096),
    "subkeys": (1, MOST_SUBKEYS),
}
_DECIMAL = re.compile(r"(0|[1-9][0-9]{0,2})(\.[0-9]{0,2}[1-9])?")


class PromptLockError(SpellmarkError):
    """Parameters, prompts or images that a prompt lock cannot work with."""


@dataclass(frozen=True, kw_only=True)
class PromptLockParameters:
    """How images are edited under a spell.

    editor: the digest of the editor, 64 hex digits.
    reading: how the text is read. As a `spell` it is hashed into an embedding, so that no two texts
    are alike; as a `prompt` the editor's own text encoder reads its words, as published
    (2405.16285).
    steps: of the diffusion, 1 or more.
    guidance, image_guidance: scales as decimal texts; guidance is off unless
    the first is above 1 and the second at least 1.
    strength: how far an image-to-image editor goes, in percent; others do not heed it.
    alpha: the share of the edit in the blend with the image, in percent, 0 to 100.
    seed: of the noise, which is the same for every image.
    scheduler: the name of a scheduler of diffusers, or `own` for the one the editor came with.
    size: the side of the square in which images are edited, in pixels; 0 for the images' own size.
    precision: of the editor's arithmetic; in `double` rounding hides what batch and threads change.
    labels: whether the lock's answers are permuted by the key too.
    subkeys: how many spells share the lock, each with a permutation of its own; one for prompts.

    Raises PromptLockError.
    """

    editor: str
    reading: str = SPELL
    steps: int = 1
    guidance: str = "1"
    image_guidance: str = "1"
    strength: int = 80
    alpha: int = 50
    seed: int = 1024
    scheduler: str = "own"
    size: int = 0
    precision: str = "double"
    labels: str = "keyed"
    subkeys: int = 1

    def __post_init__(self) -> None:
        if not isinstance(self.editor, str) or not re.fullmatch("[0-9a-f]{64}", self.editor):
            _refuse("editor", "the digest of an editor, 64 hex digits")
        for name, (least, most) in _WHOLE.items():
            value = getattr(self, name)
            if type(value) is not int or not least <= value <= most:
                _refuse(name, f"a whole number from {least} to {most}")
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                _refuse(name, f"one of: {', '.join(choices)}")
        for name in ("guidance", "image_guidance"):
            value = getattr(self, name)
            if not isinstance(value, str) or not _DECIMAL.fullmatch(value):
                _refuse(name, "a number such as 4.5, with at most three decimals")
        if not isinstance(self.scheduler, str) or not re.fullmatch(r"\w{1,60}", self.scheduler):
            _refuse("scheduler", "the name of a scheduler, or “own”")
        if self.reading == PROMPT and self.subkeys > 1:
            raise PromptLockError(
                "One prompt cannot be several keys.", hint="Use one sub-key, or read it as a spell."
            )

    def as_dict(self) -> dict[str, int | str]:
        """The parameters as a key file and a commitment hold them."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `as_dict` gave; every field must be there. Raises PromptLockError."""
        check_fields(cls, values, lock="prompt lock", error=PromptLockError)
        return cls(**values)


def _refuse(name: str, wanted: str) -> NoReturn:
    raise PromptLockError(f"A prompt lock's {name} is {wanted}.", hint="Correct it and try again.")
