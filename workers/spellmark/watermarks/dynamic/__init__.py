"""The dynamic watermark: a prediction API's answers carry a keyed mark that a copy inherits.

It keeps the contract of DynaMarks (2207.13321): the model is not trained anew, answers change at
inference by secret parameters, and a surrogate trained on them carries the mark. The paper's own
formulas are not public to us; the mechanism and its tests are described in
`docs/dynamic-watermark.md`.
"""

from spellmark.watermarks.dynamic.guard import Guard
from spellmark.watermarks.dynamic.guard_file import GuardFile, Guards, load_guard, load_guards
from spellmark.watermarks.dynamic.mark_key import MarkKey
from spellmark.watermarks.dynamic.parameters import SCHEME, DynamicMarkError, MarkParameters

__all__ = [
    "SCHEME",
    "DynamicMarkError",
    "Guard",
    "GuardFile",
    "Guards",
    "MarkKey",
    "MarkParameters",
    "load_guard",
    "load_guards",
]
