"""The strict check of a safetensors file, without loading a tensor.

Format: https://huggingface.co/docs/safetensors, “Format”. Eight bytes of little-endian header
length N, N bytes of UTF-8 JSON that starts with “{” and may end in spaces, then the tensors.

The check is stricter than the loaders, so that an auditor and a loader never see two different
models in one file. Whatever passes here, the safetensors library loads with the same tensors.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spellmark.model_files.errors import ModelFileError
from spellmark.model_files.strict_json import parse_object
from spellmark.model_files.text import shown

LENGTH_BYTES = 8
MAX_HEADER_BYTES = 16 * 2**20
MAX_TENSORS = 100_000
# Both numpy and torch's kernels stop at 64 dimensions.
MAX_DIMENSIONS = 64

# F4 and the F6 types are left out: their elements are not whole bytes and torch has no F6.
DTYPE_BYTES = {
    "BOOL": 1,
    "U8": 1,
    "I8": 1,
    "F8_E4M3": 1,
    "F8_E4M3FNUZ": 1,
    "F8_E5M2": 1,
    "F8_E5M2FNUZ": 1,
    "F8_E8M0": 1,
    "U16": 2,
    "I16": 2,
    "F16": 2,
    "BF16": 2,
    "U32": 4,
    "I32": 4,
    "F32": 4,
    "U64": 8,
    "I64": 8,
    "F64": 8,
    "C64": 8,
}


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One tensor of a file: its name, its dtype as safetensors spells it, its shape."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SafetensorsHeader:
    """What a file's header says: the tensors in the order of their bytes, and the metadata."""

    tensors: tuple[TensorInfo, ...]
    metadata: dict[str, str]


def read_header(path: Path) -> SafetensorsHeader:
    """Read and check the header of the safetensors file at `path`, and the file's size.

    Raises ModelFileError.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(LENGTH_BYTES), "little")
        if length > MAX_HEADER_BYTES:
            raise _broken(
                f"its header claims {length:,} bytes, more than the {MAX_HEADER_BYTES:,} allowed"
            )
        _refuse_missing(LENGTH_BYTES + length, size, "at least ")
        header = file.read(length)
    if not header.startswith(b"{"):
        raise _broken("its header does not start with “{”")
    try:
        entries = parse_object(
            header.rstrip(b" "), most_parts=20 * MAX_TENSORS, parse_int=_natural_number
        )
    except ValueError as error:
        raise _broken(f"its header cannot be read: {error}") from error
    metadata = _metadata(entries)
    if len(entries) > MAX_TENSORS:
        raise _broken(f"it has more than {MAX_TENSORS:,} tensors")

    placed = sorted((_tensor(name, entry) for name, entry in entries.items()), key=lambda t: t[:2])
    position = 0
    for begin, end, tensor in placed:
        if begin != position:
            what = "a hole before" if begin > position else "an overlap at"
            raise _broken(f"there is {what} the bytes of the tensor “{shown(tensor.name)}”")
        position = end
    _refuse_missing(LENGTH_BYTES + length + position, size)
    if spare := size - (LENGTH_BYTES + length + position):
        raise _broken(f"its last {spare:,} bytes belong to no tensor")
    return SafetensorsHeader(tuple(tensor for _, _, tensor in placed), metadata)


def _tensor(name: str, entry: Any) -> tuple[int, int, TensorInfo]:
    """The tensor that a header entry describes, with the begin and end of its bytes."""
    where = f"the tensor “{shown(name)}”"
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise _broken(f"{where} is not described by exactly dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPE_BYTES:
        raise _broken(f"{where} has the unknown dtype “{shown(str(dtype))}”")
    if not _is_naturals(shape) or len(shape) > MAX_DIMENSIONS:
        raise _broken(f"{where} has a shape that is not a list of whole numbers from 0 up")
    if not _is_naturals(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise _broken(f"{where} has data_offsets that are not [begin, end]")
    # Loaders multiply in 64 bits and stumble over [0, 2**40, 2**40], which is empty.
    if math.prod(max(side, 1) for side in shape) * DTYPE_BYTES[dtype] >= 2**63:
        raise _broken(f"{where} has a shape too large for any machine")
    needed = math.prod(shape) * DTYPE_BYTES[dtype]
    begin, end = offsets
    if end - begin != needed:
        raise _broken(f"{where} needs {needed:,} bytes but its offsets give {end - begin:,}")
    return begin, end, TensorInfo(name, dtype, tuple(shape))


def _metadata(entries: dict[str, Any]) -> dict[str, str]:
    """Take `__metadata__` out of the header's entries."""
    metadata = entries.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise _broken("its __metadata__ is not an object of strings")
    return metadata


def _is_naturals(value: Any) -> bool:
    # True and 2.0 equal integers in Python, but not in the file's other readers.
    return isinstance(value, list) and all(type(item) is int and item >= 0 for item in value)


def _natural_number(digits: str) -> int:
    # “-0” is 0 to Python and a float to the safetensors library.
    if digits.startswith("-"):
        raise ValueError("it has a negative number")
    return int(digits)


def _refuse_missing(needed: int, size: int, least: str = "") -> None:
    if needed > size:
        raise ModelFileError(
            f"The safetensors file is cut short: {least}{needed - size:,} bytes are missing.",
            hint="Copy or upload it again, whole.",
        )


def _broken(reason: str) -> ModelFileError:
    return ModelFileError(
        f"The safetensors file is not sound: {reason}.",
        hint="Save it again with the safetensors library.",
    )
