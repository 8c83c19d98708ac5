"""What a model file is, decided by its bytes. Its name and extension are never looked at."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal

from spellmark.model_files.errors import ModelFileError
from spellmark.model_files.onnx_check import Port, check_onnx
from spellmark.model_files.onnx_outline import looks_like_onnx
from spellmark.model_files.safetensors_header import (
    LENGTH_BYTES,
    TensorInfo,
    read_header,
)

Format = Literal["safetensors", "onnx"]

# The names that tell one kind of zip from another stand near its start and in its directory,
# at its end. Nothing a stranger packed is unpacked to find them.
_LOOK_BYTES = 64 * 1024

_CONVERT_PICKLE = """\
Convert it on the machine it was made on, and upload the result:
state = torch.load("model.pt", map_location="cpu", weights_only=True)
safetensors.torch.save_file(state, "model.safetensors")"""
_CONVERT = "Save the weights as safetensors, or the model as ONNX, and upload that."
_UNPACK = "Unpack it and upload the safetensors or ONNX file inside."
_DOWNLOAD = "Download the model file itself and upload that."

_PICKLE = ("a Python pickle, which can run any code when it is opened", _CONVERT_PICKLE)

# Beginning → what it is, what to do.
_KNOWN = {
    b"\x80\x02": _PICKLE,
    b"\x80\x03": _PICKLE,
    b"\x80\x04": _PICKLE,
    b"\x80\x05": _PICKLE,
    b"\x89HDF\r\n\x1a\n": ("an HDF5 file (Keras)", _CONVERT),
    b"\x93NUMPY": ("a NumPy array", _CONVERT),
    b"GGUF": ("a GGUF file", _CONVERT),
    b"\x1f\x8b": ("a gzip archive", _UNPACK),
    b"version https://git-lfs": ("a Git LFS pointer, not the file it points to", _DOWNLOAD),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFileInfo:
    """What a sound model file says of itself.

    size: bytes. metadata: text by text, in both formats.
    tensors: safetensors only. inputs, outputs, opset (version by operator domain): ONNX only.
    """

    format: Format
    size: int
    metadata: dict[str, str] = field(default_factory=dict)
    tensors: tuple[TensorInfo, ...] = ()
    inputs: tuple[Port, ...] = ()
    outputs: tuple[Port, ...] = ()
    opset: dict[str, int] = field(default_factory=dict)


def inspect_model_file(path: Path) -> ModelFileInfo:
    """Check the model file at `path` as strictly as its format allows, loading no weights.

    Raises ModelFileError for anything but a sound safetensors or ONNX file; the error says what
    the file is, where that can be seen, and what to do about it.
    """
    if not path.is_file():
        raise ModelFileError("There is no file at the given path.", hint="Check the path.")
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(_LOOK_BYTES)
        if _looks_like_safetensors(start):
            header = read_header(path)
            return ModelFileInfo(
                format="safetensors", size=size, metadata=header.metadata, tensors=header.tensors
            )
        if looks_like_onnx(file, size):
            summary = check_onnx(path)
            return ModelFileInfo(
                format="onnx",
                size=size,
                metadata=summary.metadata,
                inputs=summary.inputs,
                outputs=summary.outputs,
                opset=summary.opset,
            )
        what, hint = _recognise(start, _last(file, size))
    raise ModelFileError(f"This is {what}; only safetensors and ONNX are accepted.", hint=hint)


def _looks_like_safetensors(start: bytes) -> bool:
    # Asked first: the eight bytes of a header length may be the beginning of anything else.
    # No other format has “{” ninth after a length that a machine could hold.
    length = int.from_bytes(start[:LENGTH_BYTES], "little")
    return length < 2**40 and start[LENGTH_BYTES : LENGTH_BYTES + 1] == b"{"


def _recognise(start: bytes, end: bytes) -> tuple[str, str]:
    """What a refused file is and what to do, from its first and last bytes."""
    if not start:
        return "an empty file", "Upload the file again; nothing arrived."
    for beginning, answer in _KNOWN.items():
        if start.startswith(beginning):
            return answer
    if start.startswith(b"PK"):
        return _recognise_zip(start + end)
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith((b"<!doctype html", b"<html")):
        return "a web page, perhaps of a failed or login-protected download", _DOWNLOAD
    return "in no format that is known here", _CONVERT


def _recognise_zip(names: bytes) -> tuple[str, str]:
    if b"data.pkl" in names:
        return "a PyTorch file, a zip around a Python pickle that can run any code", _CONVERT_PICKLE
    if b".npy" in names:
        return "a NumPy archive (npz)", _CONVERT
    return "a zip archive", _UNPACK


def _last(file: BinaryIO, size: int) -> bytes:
    file.seek(max(0, size - _LOOK_BYTES))
    return file.read(_LOOK_BYTES)
