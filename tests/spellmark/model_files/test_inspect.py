import gzip
import io
import json
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

import spellmark
from spellmark.model_files.errors import ModelFileError
from spellmark.model_files.inspect import inspect_model_file


@pytest.fixture
def write(tmp_path: Path):
    def write(contents: bytes, name: str = "model.safetensors") -> Path:
        path = tmp_path / name
        path.write_bytes(contents)
        return path

    return write


def torch_zip(**options) -> bytes:
    buffer = io.BytesIO()
    torch.save({"w": torch.ones(2, 2)}, buffer, **options)
    return buffer.getvalue()


def numpy_file(save, *arrays) -> bytes:
    buffer = io.BytesIO()
    save(buffer, *arrays)
    return buffer.getvalue()


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("readme.txt", "hello")
    return buffer.getvalue()


def test_it_knows_safetensors_under_any_name(write):
    contents = safetensors.torch.save({"w": torch.ones(2, 3)}, metadata={"by": "alice"})
    info = inspect_model_file(write(contents, "model.onnx"))
    assert (info.format, info.size, info.metadata) == (
        "safetensors",
        len(contents),
        {"by": "alice"},
    )
    assert [(t.name, t.dtype, t.shape) for t in info.tensors] == [("w", "F32", (2, 3))]


def test_it_knows_onnx_under_any_name(write):
    port = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    model = helper.make_model(helper.make_graph([], "g", [port], [port]))
    info = inspect_model_file(write(model.SerializeToString()))
    assert info.format == "onnx"
    assert info.inputs[0].name == "x"
    assert info.opset == {"": onnx.defs.onnx_opset_version()}


def test_a_header_length_that_begins_like_a_gzip_archive_is_no_archive(write):
    padding = 0x8B1F - len(b'{"__metadata__":{"k":""}}')
    header = b'{"__metadata__":{"k":"%s"}}' % (b"x" * padding)
    contents = len(header).to_bytes(8, "little") + header
    assert contents.startswith(b"\x1f\x8b")
    assert inspect_model_file(write(contents)).format == "safetensors"


@pytest.mark.parametrize(
    ("contents", "what"),
    [
        (pickle.dumps({"w": [1.0]}, protocol=2), "a Python pickle"),
        (pickle.dumps({"w": [1.0]}, protocol=5), "a Python pickle"),
        (torch_zip(_use_new_zipfile_serialization=False), "a Python pickle"),
        (torch_zip(), "a PyTorch file"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "an HDF5 file"),
        (numpy_file(np.save, np.ones(3)), "a NumPy array"),
        (numpy_file(np.savez, np.ones(3)), "a NumPy archive"),
        (zipped(), "a zip archive"),
        (gzip.compress(b"weights", mtime=0), "a gzip archive"),
        (b"GGUF\x03\x00\x00\x00" + bytes(40), "a GGUF file"),
        (b"", "an empty file"),
        (b"\xef\xbb\xbf\n <!DOCTYPE html><title>Log in</title>", "a web page"),
        (b"<html>404</html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a Git LFS pointer"),
        (b"hello", "in no format that is known here"),
        (bytes(64), "in no format that is known here"),
    ],
)
def test_it_says_what_a_refused_file_is(write, contents: bytes, what: str):
    with pytest.raises(ModelFileError) as caught:
        inspect_model_file(write(contents))
    assert f"This is {what}" in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("name", ["", "no-such-file"])
def test_it_refuses_a_path_without_a_file(tmp_path: Path, name: str):
    with pytest.raises(ModelFileError, match="no file at the given path"):
        inspect_model_file(tmp_path / name)


def test_the_conversion_it_advises_works(write, tmp_path: Path, monkeypatch):
    path = write(torch_zip(), "model.pt")
    with pytest.raises(ModelFileError) as caught:
        inspect_model_file(path)
    advice = caught.value.hint.splitlines()[-2:]
    monkeypatch.chdir(tmp_path)

    exec("\n".join(advice), {"torch": torch, "safetensors": safetensors})  # noqa: S102

    assert inspect_model_file(tmp_path / "model.safetensors").tensors[0].shape == (2, 2)


def test_a_too_long_header_is_told_as_such(write):
    contents = (2**24 + 1).to_bytes(8, "little") + b'{"w":'
    with pytest.raises(ModelFileError, match="its header claims 16,777,217 bytes"):
        inspect_model_file(write(contents))


@given(
    start=st.sampled_from([b"", b"PK\x03\x04", b"\x80\x04", b"\x08\x0a", b"\x08\x0a\x3a", b"{"]),
    rest=st.binary(max_size=60),
)
@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_any_bytes_are_refused_politely(tmp_path: Path, start: bytes, rest: bytes):
    path = tmp_path / "anything"
    path.write_bytes(start + rest)
    with pytest.raises(ModelFileError):
        inspect_model_file(path)


def test_it_loads_neither_torch_nor_onnx():
    code = (
        "import sys, json;"
        "import spellmark.model_files.inspect, spellmark.model_files.card;"
        "import spellmark.model_files.digests;"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    environment = {"PYTHONPATH": str(Path(spellmark.__file__).parents[1])}
    output = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert not {"torch", "onnx", "numpy"} & set(json.loads(output))
