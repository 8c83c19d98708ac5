"""The check of an ONNX file, in a process of its own.

Protobuf expands what it reads, and the checker is C++ that strangers' bytes reach: so both run
in a child that may use neither much memory nor much time, and that knows none of our secrets.

`python -m spellmark.model_files.onnx_check PATH` prints one JSON object, either the summary or
`{"error": …, "hint": …}`.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spellmark.model_files.errors import ModelFileError
from spellmark.model_files.text import shown

# Protobuf itself stops at 2 GiB.
MAX_FILE_BYTES = 2**31 - 1
MAX_NODES = 100_000
MAX_TENSORS = 100_000
MAX_PORTS = 1_000
MAX_SUMMARY_BYTES = 16 * 2**20
CPU_SECONDS = 60
WALL_SECONDS = 120
# What Python, numpy and onnx map before they read a byte, and how often the bytes are held at once.
BASE_MEMORY_BYTES = 1 * 2**30
MEMORY_TIMES_FILE = 5


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output of a graph. A side is a number, a symbol's name, or unknown (None)."""

    name: str
    dtype: str
    shape: tuple[int | str | None, ...] | None


@dataclass(frozen=True, slots=True)
class OnnxSummary:
    """What an ONNX file says of itself. opset: the version for each operator domain."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    opset: dict[str, int]
    metadata: dict[str, str]


def check_onnx(path: Path, *, wall_seconds: float = WALL_SECONDS) -> OnnxSummary:
    """Check the ONNX file at `path` in a child process. Raises ModelFileError."""
    if path.stat().st_size > MAX_FILE_BYTES:
        raise _refusal("it is larger than 2 GiB", "Save the weights as safetensors instead.")
    # The environment is ours, not the parent's, which may hold passwords. No thread pools: each
    # maps memory that counts against the limit.
    environment = {
        "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
        "OPENBLAS_NUM_THREADS": "1",
    }
    command = [sys.executable, "-P", "-m", __name__, str(path.resolve())]
    try:
        child = subprocess.run(
            command, env=environment, capture_output=True, timeout=wall_seconds, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise _too_much() from error
    try:
        told = json.loads(child.stdout)
    except ValueError as error:
        # Killed by a limit, or by what the file did to the C++ code: refused all the same.
        if child.returncode < 0:
            raise _too_much() from error
        raise ModelFileError(
            "The ONNX file could not be checked here.",
            hint="Ask the operator whether the onnx package works on this machine.",
        ) from RuntimeError(child.stderr.decode(errors="replace")[-2000:])
    if "error" in told:
        raise ModelFileError(told["error"], hint=told["hint"])
    return OnnxSummary(
        inputs=tuple(_port(port) for port in told["inputs"]),
        outputs=tuple(_port(port) for port in told["outputs"]),
        opset=told["opset"],
        metadata=told["metadata"],
    )


def _port(told: dict[str, Any]) -> Port:
    shape = told["shape"]
    return Port(told["name"], told["dtype"], None if shape is None else tuple(shape))


def _too_much() -> ModelFileError:
    return _refusal(
        "checking it takes more memory or time than allowed",
        "Save it again with the onnx library, or save the weights as safetensors.",
    )


def _refusal(reason: str, hint: str = "Save it again with the onnx library.") -> ModelFileError:
    return ModelFileError(f"The ONNX file is refused: {reason}.", hint=hint)


# From here on: the child.


def main(path: Path) -> int:
    """Limit this process, check the file at `path`, print JSON. Returns the exit status."""
    try:
        _limit(path.stat().st_size)
        told = json.dumps(_summary(path))
        if len(told) > MAX_SUMMARY_BYTES:
            raise _refusal("its names and metadata are too long")
    except (ModelFileError, MemoryError, UnicodeDecodeError) as problem:
        error = _as_refusal(problem)
        sys.stdout.write(json.dumps({"error": error.message, "hint": error.hint}))
        return 1
    sys.stdout.write(told)
    return 0


def _as_refusal(problem: Exception) -> ModelFileError:
    if isinstance(problem, ModelFileError):
        return problem
    if isinstance(problem, MemoryError):
        return _too_much()
    return _refusal("a name in it is not UTF-8")


def _limit(file_size: int) -> None:
    import resource  # only Unix has it, and only the child needs it

    memory = BASE_MEMORY_BYTES + MEMORY_TIMES_FILE * file_size
    for kind, most in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, CPU_SECONDS),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        allowed = resource.getrlimit(kind)[1]
        limit = most if allowed == resource.RLIM_INFINITY else min(most, allowed)
        resource.setrlimit(kind, (limit, limit))


def _summary(path: Path) -> dict[str, Any]:
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        # By default onnx takes the format from the extension and follows external data.
        model = onnx.load(path, format="protobuf", load_external_data=False)
    except DecodeError as error:
        # Protobuf tells a broken message and the memory limit by the same words.
        raise _refusal("it is no readable ONNX model, or takes too much memory to read") from error
    _refuse_contents(model)
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, ValueError) as error:
        raise _refusal(f"the ONNX checker says “{shown(str(error), 300)}”") from error
    return {
        "inputs": [_told(port) for port in model.graph.input],
        "outputs": [_told(port) for port in model.graph.output],
        "opset": {entry.domain: entry.version for entry in model.opset_import},
        "metadata": {entry.key: entry.value for entry in model.metadata_props},
    }


def _refuse_contents(model: Any) -> None:
    """Refuse external data and too many parts, wherever in the model they stand."""
    nodes = tensors = 0
    for part in _parts(model):
        kind = part.DESCRIPTOR.name
        nodes += kind == "NodeProto"
        tensors += kind == "TensorProto"
        if nodes > MAX_NODES or tensors > MAX_TENSORS:
            raise _refusal(f"it has more than {MAX_NODES:,} nodes or {MAX_TENSORS:,} tensors")
        if kind == "TensorProto" and (part.data_location or part.external_data):
            raise _refusal(
                "it keeps tensors in other files",
                "Save it as one file: onnx.save_model(model, path, save_as_external_data=False).",
            )
    for ports in (model.graph.input, model.graph.output):
        if len(ports) > MAX_PORTS:
            raise _refusal(f"it has more than {MAX_PORTS:,} inputs or outputs")


def _parts(message: Any) -> Iterator[Any]:
    """The message and every message in it, so that no kind of attribute can be forgotten."""
    waiting = [message]
    while waiting:
        part = waiting.pop()
        yield part
        for field, value in part.ListFields():
            if field.message_type is not None:
                waiting.extend([value] if hasattr(value, "ListFields") else value)


def _told(port: Any) -> dict[str, Any]:
    import onnx

    tensor = port.type.tensor_type
    sides: list[int | str | None] | None = None
    if tensor.HasField("shape"):
        sides = [
            side.dim_value if side.HasField("dim_value") else side.dim_param or None
            for side in tensor.shape.dim
        ]
    types = onnx.TensorProto.DataType
    known = tensor.elem_type in types.values()
    dtype = types.Name(tensor.elem_type) if known else "UNDEFINED"
    return {"name": port.name, "dtype": dtype, "shape": sides}


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
