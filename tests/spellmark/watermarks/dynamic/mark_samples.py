"""Keys that tests can pin, and answers as a model gives them."""

from typing import Any

import numpy as np

from spellmark.secrets import KeyFile
from spellmark.watermarks.dynamic import SCHEME, Guard, GuardFile, MarkKey, MarkParameters
from spellmark.watermarks.dynamic.guard import calibrate


def key_file(**parameters: Any) -> KeyFile:
    """The key file whose secret and nonce are bytes that count up."""
    told = MarkParameters(**{"classes": 5, **parameters}).as_dict()
    return KeyFile(SCHEME, told, bytes(range(32)), bytes(range(32, 64)))


def guard_of(**parameters: Any) -> Guard:
    return Guard(MarkKey.open(key_file(**parameters)))


def answers_of(count: int, classes: int = 5, seed: int = 0) -> np.ndarray:
    """Probabilities, float64 (count, classes)."""
    return np.random.default_rng(seed).dirichlet(np.full(classes, 0.3), count)


def inputs_of(count: int, seed: int = 1) -> np.ndarray:
    """Pixels, uint8 (count, 1, 8, 8)."""
    return np.random.default_rng(seed).integers(0, 256, (count, 1, 8, 8), np.uint8)


def guard_file_of(**parameters: Any) -> GuardFile:
    """A guard file; with cells, calibrated on a hundred inputs. `more` goes into the file."""
    more = parameters.pop("more", {})
    file = key_file(**parameters)
    classes = parameters.get("classes", 5)
    thresholds = calibrate(MarkKey.open(file), answers_of(100, classes), inputs_of(100))
    return GuardFile(key=file, thresholds=thresholds, **more)
