"""Answers of the Open Inference Protocol V2, and of V1: KServe, MLServer, Triton, TF Serving.

Each of these lines marks every answer; `guard` is `load_guard("guard.json")`, made once, or
`guards(client)` of `guards = load_guards("guard.json")` where clients have keys of their own.

KServe and MLServer, the last line of `predict` in a `kserve.Model` or `mlserver.MLModel` of one's
own:

    return guard_response(guard, response, payload)

KServe, where another server predicts, for guards with one cell: `postprocess` sees no request.

    def postprocess(self, result, *_): return guard_response(guard, result)

Triton, in `execute` of its Python backend, where the output tensor is made:

    tensor = pb_utils.Tensor("probabilities", guard(probabilities))
"""

from collections.abc import Mapping
from typing import Any, NoReturn, TypeVar

import numpy as np
import numpy.typing as npt

from spellmark.watermarks.dynamic.guard import Guard, Probabilities
from spellmark.watermarks.dynamic.parameters import DynamicMarkError
from spellmark.watermarks.dynamic.serving.json_format import numbers, refuse_unread

FLOATS = ("FP16", "FP32", "FP64", "BF16")

Response = TypeVar("Response")


def guard_outputs(
    guard: Guard, response: Any, request: Any = None, *, output: str | None = None
) -> Any:
    """An answer with its probabilities marked: a new dict, or `response` itself if it has none.

    V2: the `data` of `outputs` are a flat list, a nested one or an array, and stay so. Every output
    of floating-point numbers has to hold probabilities, of shape [n, classes]: one that the guard
    does not understand may give away what it hides. output: the only one to mark, where the others
    are known to be harmless. V1: `predictions` are rows of probabilities. Whatever else the answer
    holds must not look as if it told probabilities: see `refuse_unread`.
    request: the request in the same version, read by guards with cells.

    Raises DynamicMarkError.
    """
    if not isinstance(response, Mapping):
        refuse_unread(response, guard.classes)
        return response
    if "predictions" in response:
        refuse_unread(_beside(response, "predictions"), guard.classes)
        return _with_predictions(guard, response, request)
    outputs = response.get("outputs")
    if not isinstance(outputs, list) or not any(map(_is_answer, outputs)):
        refuse_unread(response, guard.classes)
        return response
    meant = [_is_meant(tensor, output) for tensor in outputs]
    rest = _beside(response, "outputs")
    if output is None:
        rest += [tensor for tensor, is_meant in zip(outputs, meant, strict=True) if not is_meant]
    refuse_unread(rest, guard.classes)
    if not any(meant):
        return response
    inputs = _inputs(guard, request)
    marked = [
        {**tensor, "data": _marked(guard, tensor, inputs)} if is_meant else tensor
        for tensor, is_meant in zip(outputs, meant, strict=True)
    ]
    return {**response, "outputs": marked}


def guard_response(
    guard: Guard, response: Response, request: Any = None, *, output: str | None = None
) -> Response:
    """The same for KServe's and MLServer's own objects, changed in place; and for dicts.

    Raises DynamicMarkError.
    """
    if isinstance(response, Mapping):
        told: Response = guard_outputs(guard, response, request, output=output)
        return told
    tensors: Any = response
    inputs = _inputs(guard, request)
    for tensor in tensors.outputs:
        described = _described(tensor)
        if _is_meant(described, output):
            _set(tensor, _marked(guard, described, inputs))
        elif output is None:
            refuse_unread(described, guard.classes)
    return response


def _with_predictions(guard: Guard, response: Mapping[str, Any], request: Any) -> Any:
    rows = numbers(response["predictions"], "predictions")
    if rows.ndim == 1 and (rows == np.floor(rows)).all():
        return response  # labels
    inputs = None
    if guard.cells > 1 and isinstance(request, Mapping):
        inputs = numbers(request.get("instances"), "request's instances")
    return {**response, "predictions": guard(rows, inputs).tolist()}


def _beside(response: Mapping[str, Any], name: str) -> list[Any]:
    """What else the answer holds."""
    return [part for other, part in response.items() if other != name]


def _is_answer(tensor: Any) -> bool:
    """Not the description of an output, which has neither: servers tell of their models too."""
    return isinstance(tensor, Mapping) and ("data" in tensor or "parameters" in tensor)


def _is_meant(tensor: Any, output: str | None) -> bool:
    if output is not None:
        return bool(tensor.get("name") == output)
    return tensor.get("datatype") in FLOATS


def _marked(guard: Guard, tensor: Mapping[str, Any], inputs: npt.NDArray[Any] | None) -> Any:
    """The data of a tensor marked, of the same kind and nesting."""
    name, data = tensor.get("name"), tensor.get("data")
    if data is None:
        _refuse(f"The output “{name}” is binary, where the guard cannot read it.")
    array = numbers(data, f"output “{name}”'s data")
    shape = list(tensor.get("shape") or ())
    if shape != [array.size // guard.classes, guard.classes]:
        _refuse(f"The output “{name}” is not one row of {guard.classes} probabilities an input.")
    # Two classes may differ in double precision and be alike in the answer's own.
    single = tensor.get("datatype") != "FP64" and guard.decimals is None
    rows: Probabilities = array.reshape(shape)
    marked = guard(rows.astype(np.float32) if single else rows, inputs).reshape(array.shape)
    return marked.astype(data.dtype) if isinstance(data, np.ndarray) else marked.tolist()


def _inputs(guard: Guard, request: Any) -> npt.NDArray[Any] | None:
    """The first input of a V2 request, (n, ...), where the guard wants to see it."""
    if guard.cells == 1 or request is None:
        return None
    tensors = request.get("inputs") if isinstance(request, Mapping) else request.inputs
    if not isinstance(tensors, list) or not tensors:
        _refuse("The request has no inputs to look at.")
    first = tensors[0] if isinstance(tensors[0], Mapping) else _described(tensors[0])
    try:
        return numbers(first.get("data"), "request's inputs").reshape(first["shape"])
    except (KeyError, TypeError, ValueError):
        _refuse("The request's inputs are not of the shape that it tells.")


def _described(tensor: Any) -> dict[str, Any]:
    """A tensor of KServe or MLServer."""
    data = tensor.data
    if data is None or type(data).__name__ == "InferTensorContents":
        # KServe's, where the data are binary or came by gRPC.
        data = tensor.as_numpy()
    elif not isinstance(data, np.ndarray):
        data = list(data)
    return {"name": tensor.name, "shape": tensor.shape, "datatype": tensor.datatype, "data": data}


def _set(tensor: Any, marked: Any) -> None:
    if tensor.data is None:
        tensor.set_data_from_numpy(marked, binary_data=True)
    elif isinstance(tensor.data, list | np.ndarray):
        tensor.data = marked
    else:
        # MLServer keeps data in a type of its own.
        tensor.data = type(tensor.data)(marked)


def _refuse(message: str) -> NoReturn:
    raise DynamicMarkError(
        message, hint="Let it send probabilities alone, or name the output that holds them."
    )
