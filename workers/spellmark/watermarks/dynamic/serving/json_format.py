"""Where the probabilities stand in the JSON of a prediction API."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from spellmark.watermarks.dynamic.guard import Guard
from spellmark.watermarks.dynamic.parameters import DynamicMarkError

# Marks an answer, given the request that it answers where the guard has cells. Gives back the very
# same object where there was nothing to mark.
Mark = Callable[[Guard, Any, Any], Any]

# One alone may be a time, or the best class's probability.
_LEAST_SHARES = 2


def at(
    get: Callable[[Any], Any],
    put: Callable[[Any, list[Any]], Any],
    inputs: Callable[[Any], Any] | None = None,
) -> Mark:
    """A format of one's own, for a server's `mark`.

    get: from the answer its probabilities, nested lists (n, classes) or (classes,); None where it
    has none. put: from the answer and the marked lists the answer to send. inputs: from the request
    what was asked about, (n, ...); needed by guards with cells only.
    """

    def mark(guard: Guard, answer: Any, request: Any) -> Any:
        found = get(answer)
        if found is None:
            return answer
        asked = None
        if guard.cells > 1 and inputs is not None:
            asked = numbers(inputs(request), "request's inputs")
        return put(answer, guard(numbers(found, "answer's probabilities"), asked).tolist())

    return mark


def refuse_unread(rest: Any) -> None:
    """Refuse what is left of an answer where it may hold probabilities that nobody marked.

    Two numbers strictly between nought and one are taken for some. Raises DynamicMarkError.
    """
    if _shares(rest) >= _LEAST_SHARES:
        raise DynamicMarkError(
            "The answer holds numbers between 0 and 1 where the guard does not look for "
            "probabilities.",
            hint="Say where they stand: mark=at(…), or output=… where the others are harmless.",
        )


def _shares(value: Any) -> int:
    if isinstance(value, Mapping):
        value = value.values()
    elif not isinstance(value, list | tuple):
        return int(isinstance(value, float) and 0 < value < 1)
    found = 0
    for part in value:
        found += _shares(part)
        if found >= _LEAST_SHARES:
            break
    return found


def numbers(values: Any, what: str) -> npt.NDArray[np.float64]:
    """As float64, if they are numbers. Raises DynamicMarkError."""
    try:
        array = np.asarray(values)
    except ValueError:
        array = np.empty(0, object)
    if array.dtype.kind not in "fiu":
        raise DynamicMarkError(
            f"The {what} are not numbers, or not all in rows of one length.",
            hint="Tell the guard where they stand.",
        )
    return array.astype(np.float64)
