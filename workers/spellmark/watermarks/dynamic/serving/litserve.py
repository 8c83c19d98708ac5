"""The guard on a LitServe API. One line, above the class:

@guarded("guard.json")
class Classifier(litserve.LitAPI): ...
"""

import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from spellmark.watermarks.dynamic.guard import Probabilities
from spellmark.watermarks.dynamic.guard_file import load_guards
from spellmark.watermarks.dynamic.parameters import DynamicMarkError

Api = TypeVar("Api")

_CLIENT, _INPUTS = "spellmark client", "spellmark inputs"


def guarded(
    guard_file: str | Path, *, client_of: Callable[[Any], str] = lambda request: ""
) -> Callable[[type[Api]], type[Api]]:
    """Mark what a LitAPI's `encode_response` is given: class probabilities, (n, classes) or
    (classes,), an array, a tensor or nested lists. With batches that is after `unbatch`.

    client_of: from what `decode_request` is given, the name of the client. A guard with cells looks
    at what `decode_request` gives. An answer that cannot be marked is not sent: LitServe answers
    with status 500.

    Raises DynamicMarkError for an API that streams, and for a class that was already there: only
    above the class it is done again in each of LitServe's processes. Raises SpellmarkError, when
    the server sets the API up, where the guard file cannot be used.
    """

    def guard_api(api: type[Api]) -> type[Api]:
        # Changed in place, not derived from: LitServe's processes find a class by its name.
        changed: Any = api
        if getattr(sys.modules.get(api.__module__), api.__name__, None) is api:
            raise DynamicMarkError(
                f"{api.__name__} was there before its guard: other processes would serve it bare.",
                hint="Write @guarded(…) above the class, or above a class derived from it.",
            )
        setup, decode, encode = changed.setup, changed.decode_request, changed.encode_response
        if inspect.isgeneratorfunction(encode) or inspect.isasyncgenfunction(encode):
            _refuse_stream()
        call_decode, call_encode = _caller(decode), _caller(encode)

        def guarded_setup(self: Any, device: Any) -> None:
            if self.stream:
                _refuse_stream()
            self.spellmark_guards = load_guards(guard_file)
            setup(self, device)

        def guarded_decode(self: Any, request: Any, context: Any) -> Any:
            context[_CLIENT] = client_of(request)
            inputs = call_decode(self, request, context)
            if self.spellmark_guards.cells == 1:
                return inputs
            if inspect.isawaitable(inputs):
                return _kept(inputs, context)
            context[_INPUTS] = inputs
            return inputs

        def guarded_encode(self: Any, output: Any, context: Any) -> Any:
            guard = self.spellmark_guards(context[_CLIENT])
            inputs = context.get(_INPUTS)
            marked = guard(_array(output), None if inputs is None else _array(inputs))
            return call_encode(self, _like(output, marked), context)

        changed.setup = guarded_setup
        changed.decode_request = _signed_like(decode, guarded_decode)
        changed.encode_response = _signed_like(encode, guarded_encode)
        return api

    return guard_api


def _caller(method: Callable[..., Any]) -> Callable[[Any, Any, Any], Any]:
    """Calls it as LitServe does: with the context where it asks for it by name."""
    if "context" in inspect.signature(method).parameters:
        return lambda self, value, context: method(self, value, context=context)
    return lambda self, value, context: method(self, value)


async def _kept(inputs: Any, context: Any) -> Any:
    context[_INPUTS] = await inputs
    return context[_INPUTS]


def _signed_like(method: Callable[..., Any], guarded: Callable[..., Any]) -> Callable[..., Any]:
    """With the method's own annotations, from which LitServe takes how requests are read."""
    signature = inspect.signature(method)
    own = [one for one in signature.parameters.values() if one.name != "context"]
    rest = [one for one in own if one.kind is inspect.Parameter.VAR_KEYWORD]
    context = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY)
    parameters = [*(one for one in own if one not in rest), context, *rest]
    changed: Any = guarded
    changed.__signature__ = signature.replace(parameters=parameters)
    return guarded


def _array(values: Any) -> Any:
    # Tensors of torch that learn, or that live on a GPU.
    if hasattr(values, "detach"):
        values = values.detach().cpu()
    return np.asarray(values)


def _like(output: Any, marked: Probabilities) -> Any:
    """The marked probabilities as what they were."""
    if hasattr(output, "new_tensor"):
        return output.new_tensor(marked)
    return marked if isinstance(output, np.ndarray) else marked.tolist()


def _refuse_stream() -> None:
    raise DynamicMarkError(
        "A guard marks whole answers, and this API streams them.",
        hint="Serve class probabilities without streaming.",
    )
