"""Is it ONNX at all? Protobuf has no magic number, so its outermost fields have to tell."""

from typing import BinaryIO

from spellmark.model_files.errors import ModelFileError

_VARINT, _LENGTH = 0, 2
_IR_VERSION, _GRAPH = 1, 7
# The fields of ModelProto in onnx.proto, with their wire types.
_MODEL_FIELDS = {_IR_VERSION: _VARINT, 5: _VARINT} | dict.fromkeys(
    (2, 3, 4, 6, _GRAPH, 8, 14, 20, 25, 26), _LENGTH
)
_MAX_MODEL_FIELDS = 100_000


def looks_like_onnx(file: BinaryIO, size: int) -> bool:
    """Whether the whole of `file`, `size` bytes, is laid out as an ONNX ModelProto.

    Reads the tags of the outermost fields only. Raises ModelFileError if it begins as one
    but ends too early.
    """
    seen: set[int] = set()
    position = fields = 0
    while position < size and fields < _MAX_MODEL_FIELDS:
        file.seek(position)
        tag, value = _varint(file), _varint(file)
        if tag is None or value is None or _MODEL_FIELDS.get(tag >> 3) != tag & 7:
            return False
        seen.add(tag >> 3)
        position = file.tell() + (value if tag & 7 == _LENGTH else 0)
        fields += 1
    whole = {_IR_VERSION, _GRAPH} <= seen
    if whole and position > size:
        raise ModelFileError(
            f"The ONNX file is cut short: at least {position - size:,} of its bytes are missing.",
            hint="Copy or upload it again, whole.",
        )
    return whole and position == size


def _varint(file: BinaryIO) -> int | None:
    """The next protobuf varint, or None if there is none of at most ten bytes."""
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            return None
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    return None
