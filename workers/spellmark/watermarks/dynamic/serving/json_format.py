"""Where the probabilities stand in the JSON of a prediction API."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from spellmark.watermarks.dynamic.guard import Guard
from spellmark.watermarks.dynamic.parameters import DynamicMarkError

# Marks an answer, given the request that it answers where the guard has cells. Gives back the very
# same object where there was nothing to mark.
Mark = Callable[[Guard, Any, Any], Any]

# One alone may be a time, or the best class's probability among several.
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


def refuse_unread(rest: Any, classes: int) -> None:
    """Refuse what is left of an answer where it may tell probabilities that nobody marked.

    So do two numbers strictly between nought and one, and of two classes one alone, for it tells
    both; and as many numbers as there are classes in one list or mapping, not all of them whole:
    logits, log-probabilities or percentages. Raises DynamicMarkError.
    """
    enough, shares = (1 if classes == 2 else _LEAST_SHARES), 0
    for row in _rows([rest]):
        told = [one for one in row if _is_number(one)]
        shares += sum(0 < one < 1 for one in told)
        # Shapes and labels are whole.
        if shares >= enough or (len(told) == classes and any(one % 1 for one in told)):
            raise DynamicMarkError(
                "The answer holds numbers that may tell probabilities, where the guard does not "
                "look for them.",
                hint="Say where they stand: mark=at(…), or output=… where the others are harmless.",
            )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def _rows(value: Any) -> Iterator[Sequence[Any]]:
    """Each list in it, however deep; of a mapping the values."""
    if isinstance(value, Mapping):
        value = list(value.values())
    elif isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple):
        yield value
        for part in value:
            yield from _rows(part)


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
