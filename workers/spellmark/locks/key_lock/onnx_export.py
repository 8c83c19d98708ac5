"""A key lock as an ONNX graph whose key is fed at run time and stands in no file.

The key's parts are inputs of the graph: as initializers or constants they would publish it. Two
keys of one lock give the same file, byte for byte.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import TensorProto, helper, numpy_helper

from spellmark.locks.key_lock.modules import check_normalisation
from spellmark.locks.key_lock.parameters import KeyLockError
from spellmark.locks.key_lock.transforms import Transform

# BitwiseXor came with opset 18, whose files have IR version 8.
OPSET, IR_VERSION = 18, 8

IMAGES, OUTPUT = "lock_images", "lock_output"
INDEX, MASK, STARTS, TABLES = "lock_index", "lock_mask", "lock_starts", "lock_tables"


def key_inputs(transform: Transform) -> dict[str, npt.NDArray[Any]]:
    """What to feed beside the images: the key, as the graph's inputs by name. Keep it secret.

    `lock_index` int64 (values,), `lock_mask` uint8 (values,), `lock_starts` int64 (values,): where
    each value's table starts in `lock_tables` uint8 (256 × any number,). Values are those of a
    keyed image; what the lock's steps do not need is left out.
    """
    t = transform
    inputs: dict[str, npt.NDArray[Any]] = {}
    if t.index is not None:
        inputs[INDEX] = t.index.astype(np.int64)
    if t.mask is not None:
        inputs[MASK] = t.mask
    if t.which is not None:
        inputs[STARTS] = t.which.astype(np.int64) * 256
        inputs[TABLES] = t.tables.reshape(-1)
    return inputs


def export_onnx(
    transform: Transform,
    path: Path,
    *,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    model: Path | None = None,
) -> None:
    """Write the lock as an ONNX file, alone or before the network in the ONNX file `model`.

    The input `lock_images` is uint8 (n, channels, height, width); `key_inputs` gives the others.
    Alone, the output is `lock_output`, uint8 of the keyed shape; with `mean` and `std`, one number
    for each channel, float32, scaled to [0, 1] and normalised. Before a network the outputs are the
    network's. Nothing of the key is written, only which steps it has. Raises KeyLockError.
    """
    if model is None:
        network, opset, ir_version = None, OPSET, IR_VERSION
    else:
        network = _read(model)
        opset = _opset(network)
        ir_version = max(network.ir_version, IR_VERSION)
        network.ir_version = ir_version
    lock = helper.make_model(
        _graph(transform, mean, std),
        ir_version=ir_version,
        opset_imports=[helper.make_opsetid("", opset)],
        producer_name="spellmark",
    )
    if network is not None:
        lock = _before(lock, network)
    onnx.checker.check_model(lock, full_check=True)
    onnx.save(lock, path)


def _graph(
    transform: Transform, mean: Sequence[float] | None, std: Sequence[float] | None
) -> onnx.GraphProto:
    geometry = transform.geometry
    values = math.prod(geometry.keyed_shape)
    types: dict[str, tuple[int, list[int | str]]] = {
        INDEX: (TensorProto.INT64, [values]),
        MASK: (TensorProto.UINT8, [values]),
        STARTS: (TensorProto.INT64, [values]),
        TABLES: (TensorProto.UINT8, ["lock_table_values"]),
    }
    images = helper.make_tensor_value_info(IMAGES, TensorProto.UINT8, ["n", *geometry.shape])
    inputs = [images, *(helper.make_tensor_value_info(n, *types[n]) for n in key_inputs(transform))]
    constants: dict[str, npt.NDArray[Any]] = {
        "lock_keyed_shape": np.asarray([-1, *geometry.keyed_shape], np.int64)
    }
    nodes: list[onnx.NodeProto] = []

    def then(operator: str, *operands: str, **attributes: Any) -> str:
        name = f"lock_{len(nodes)}"
        nodes.append(helper.make_node(operator, operands, [name], name, **attributes))
        return name

    last = then("Flatten", IMAGES, axis=1)
    if transform.index is not None:
        last = then("Gather", last, INDEX, axis=1)
    if transform.mask is not None:
        last = then("BitwiseXor", last, MASK)
    if transform.which is not None:
        entries = then("Add", then("Cast", last, to=TensorProto.INT64), STARTS)
        last = then("Gather", TABLES, entries, axis=0)
    last = then("Reshape", last, "lock_keyed_shape")
    kind = TensorProto.UINT8
    if mean is not None or std is not None:
        check_normalisation(transform, () if mean is None else mean, () if std is None else std)
        constants |= {
            "lock_white": np.asarray(255, np.float32),
            "lock_mean": np.asarray(mean, np.float32).reshape(-1, 1, 1),
            "lock_std": np.asarray(std, np.float32).reshape(-1, 1, 1),
        }
        kind = TensorProto.FLOAT
        last = then("Div", then("Cast", last, to=kind), "lock_white")
        last = then("Div", then("Sub", last, "lock_mean"), "lock_std")
    nodes[-1].output[0] = OUTPUT
    return helper.make_graph(
        nodes,
        "key-lock",
        inputs,
        [helper.make_tensor_value_info(OUTPUT, kind, ["n", *geometry.keyed_shape])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )


def _before(lock: onnx.ModelProto, network: onnx.ModelProto) -> onnx.ModelProto:
    """One graph of the two, the lock's output as the network's only input."""
    stored = {tensor.name for tensor in network.graph.initializer}
    inputs = [port for port in network.graph.input if port.name not in stored]
    if len(inputs) != 1:
        raise KeyLockError(
            f"The network has {len(inputs)} inputs; the lock can stand before one only.",
            hint="Export the network with the images as its only input.",
        )
    given = lock.graph.output[0].type.tensor_type.elem_type
    wanted = inputs[0].type.tensor_type.elem_type
    if given != wanted:
        raise KeyLockError(
            f"The network takes {_name(wanted)} images, and the lock gives {_name(given)}.",
            hint="Give the mean and std of the model's card for a network that takes floats, and "
            "neither for one that takes uint8.",
        )
    # The lock's opset is the network's own; further domains are the network's alone.
    return onnx.compose.merge_models(
        lock, network, io_map=[(OUTPUT, inputs[0].name)], producer_name="spellmark"
    )


def _read(path: Path) -> onnx.ModelProto:
    """The network, converted to an opset that the lock can share."""
    try:
        network = onnx.load(path)
        if _opset(network) < OPSET:
            network = onnx.version_converter.convert_version(network, OPSET)
    except (OSError, DecodeError, LookupError, RuntimeError) as error:
        raise KeyLockError(
            f"The network {path.name} cannot be read as ONNX or converted to opset {OPSET}.",
            hint=f"Export it again with opset {OPSET} or newer.",
        ) from error
    return network


def _opset(network: onnx.ModelProto) -> int:
    versions = {entry.domain: int(entry.version) for entry in network.opset_import}
    return versions.get("") or versions["ai.onnx"]


def _name(element: int) -> str:
    return str(TensorProto.DataType.Name(element)).lower()
