"""Editors of other owners, for the benchmarks: the right spell in them must not unlock."""

from dataclasses import replace

import numpy as np
from kept import CACHE

from spellmark.locks.prompt_lock import tiny_editor
from spellmark.locks.prompt_lock.editors import Editor, load_editor
from spellmark.locks.prompt_lock.public_editor import PUBLIC, public_digest
from spellmark.locks.prompt_lock.train_editor import OWNERS, owner_key, train


def owner_editor(number: int, photos: np.ndarray, *, quick: bool) -> Editor:
    """The editor of owner `number`, trained now or in an earlier run.

    photos: uint8 (m, 1 or 3, height, width), for it to learn on.
    """
    steps = 50 if quick else OWNERS.steps
    path = CACHE / f"owner-{public_digest()[:12]}-{number}-{steps}.safetensors"
    if not path.exists():
        pipeline, _ = tiny_editor.load(PUBLIC)
        key = owner_key(number.to_bytes(32, "big"))
        train(pipeline, replace(OWNERS, steps=steps), photos, key=key)
        tiny_editor.save(pipeline, path)
    return load_editor(path)
