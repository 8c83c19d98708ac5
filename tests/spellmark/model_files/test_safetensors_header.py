import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save, save_file

from spellmark.model_files.errors import ModelFileError
from spellmark.model_files.safetensors_header import (
    DTYPE_BYTES,
    MAX_HEADER_BYTES,
    TensorInfo,
    read_header,
)

WEIGHT = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}


def pack(header: bytes | dict[str, Any], data: bytes = b"") -> bytes:
    if isinstance(header, dict):
        header = json.dumps(header).encode()
    return struct.pack("<Q", len(header)) + header + data


@pytest.fixture
def write(tmp_path: Path):
    def write(contents: bytes) -> Path:
        path = tmp_path / "model.bin"
        path.write_bytes(contents)
        return path

    return write


def refusal(path: Path) -> str:
    with pytest.raises(ModelFileError) as caught:
        read_header(path)
    assert caught.value.hint
    return caught.value.message


def test_it_reads_what_the_library_writes(tmp_path: Path):
    tensors = {
        "weight": torch.randn(4, 3),
        "empty": torch.zeros(0, 7),
        "scalar": torch.tensor(3, dtype=torch.int64),
        "half": torch.ones(5, dtype=torch.bfloat16),
    }
    path = tmp_path / "any.name"
    save_file(tensors, path, metadata={"format": "pt", "näme": "wërt"})

    header = read_header(path)

    assert {t.name: t.shape for t in header.tensors} == {
        name: tuple(tensor.shape) for name, tensor in tensors.items()
    }
    assert {t.name: t.dtype for t in header.tensors} == {
        "weight": "F32",
        "empty": "F32",
        "scalar": "I64",
        "half": "BF16",
    }
    assert header.metadata == {"format": "pt", "näme": "wërt"}


def test_it_reads_a_file_written_by_hand(write):
    # The bytes that the format's description gives, spelled out.
    header = b'{"w":{"dtype":"F16","shape":[1,2],"data_offsets":[0,4]}}   '
    path = write(b"\x3b\x00\x00\x00\x00\x00\x00\x00" + header + b"\x00\x3c\x00\x40")
    assert read_header(path).tensors == (TensorInfo("w", "F16", (1, 2)),)


def test_it_lists_tensors_in_the_order_of_their_bytes(write):
    entries = {
        "late": {"dtype": "U8", "shape": [2], "data_offsets": [1, 3]},
        "early": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]},
    }
    assert [t.name for t in read_header(write(pack(entries, b"abc"))).tensors] == ["early", "late"]


def test_an_empty_tensor_may_stand_where_another_begins(write):
    entries = {"w": WEIGHT, "empty": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}}
    header = read_header(write(pack(entries, bytes(24))))
    assert [t.name for t in header.tensors] == ["empty", "w"]


@pytest.mark.parametrize(
    ("kept", "told"),
    [(0, "at least 8 bytes"), (20, "at least 53 bytes"), (89, "8 bytes"), (96, "1 bytes")],
)
def test_it_says_how_many_bytes_a_truncated_file_lacks(write, kept: int, told: str):
    whole = pack({"w": WEIGHT}, bytes(24))
    assert len(whole) == 97
    assert f"cut short: {told} are missing" in refusal(write(whole[:kept]))


@pytest.mark.parametrize(
    ("header", "data", "reason"),
    [
        (b'{"w":1,"w":2}', b"", "“w” stands twice"),
        (b'{"__metadata__":{"a":"1","a":"2"}}', b"", "“a” stands twice"),
        (b'{"w":{"dtype":"U8","dtype":"I8","shape":[0],"data_offsets":[0,0]}}', b"", "twice"),
        (b'{"__metadata__":{"a":1}}', b"", "not an object of strings"),
        (b'{"__metadata__":null}', b"", "not an object of strings"),
        (b'{"__metadata__":{"a":"\\ud800"}}', b"", "surrogate"),
        (b'{"w":"\xff"}', b"", "not UTF-8 at byte 6"),
        (b"[1]", b"", "does not start with “{”"),
        (b' {"a":1}', b"", "does not start with “{”"),
        (b'{"a":1}\n ', b"", "not described by exactly"),
        (b'{"a":', b"", "not JSON"),
        (b'{"a":NaN}', b"", "NaN"),
        (b'{"a":' + b"[" * 100_000, b"", "nested too deeply"),
        (b'{"a":' + b"9" * 5_000 + b"}", b"", "cannot be read"),
        ({"w": [1]}, b"", "not described by exactly"),
        ({"w": WEIGHT | {"extra": 1}}, bytes(24), "not described by exactly"),
        ({"w": WEIGHT | {"dtype": "F99"}}, bytes(24), "unknown dtype “F99”"),
        ({"w": WEIGHT | {"dtype": ["F32"]}}, bytes(24), "unknown dtype"),
        ({"w": WEIGHT | {"shape": [2, 3.0]}}, bytes(24), "whole numbers"),
        ({"w": WEIGHT | {"shape": [True, 6]}}, bytes(24), "whole numbers"),
        ({"w": WEIGHT | {"shape": [-2, -3]}}, bytes(24), "negative"),
        (b'{"w":{"dtype":"U8","shape":[-0],"data_offsets":[0,0]}}', b"", "negative"),
        ({"w": WEIGHT | {"shape": 6}}, bytes(24), "whole numbers"),
        ({"w": WEIGHT | {"shape": [1] * 65}}, bytes(24), "whole numbers"),
        ({"w": WEIGHT | {"shape": [2, 4]}}, bytes(24), "needs 32 bytes but its offsets give 24"),
        ({"w": WEIGHT | {"shape": [2**40, 2**40, 0], "data_offsets": [0, 0]}}, b"", "too large"),
        ({"w": WEIGHT | {"data_offsets": [24, 0]}}, bytes(24), "not [begin, end]"),
        ({"w": WEIGHT | {"data_offsets": [0, True]}}, bytes(24), "not [begin, end]"),
        ({"w": WEIGHT | {"data_offsets": [0, 24, 24]}}, bytes(24), "not [begin, end]"),
        ({"w": WEIGHT | {"data_offsets": [4, 28]}}, bytes(28), "a hole before"),
        ({"w": WEIGHT}, bytes(25), "last 1 bytes belong to no tensor"),
        ({"v": WEIGHT, "w": WEIGHT}, bytes(24), "an overlap at"),
        (
            {"w": WEIGHT, "v": {"dtype": "U8", "shape": [0], "data_offsets": [9, 9]}},
            bytes(24),
            "an overlap at the bytes of the tensor “v”",
        ),
        (
            {"w": WEIGHT, "v": {"dtype": "U8", "shape": [0], "data_offsets": [25, 25]}},
            bytes(24),
            "a hole before the bytes of the tensor “v”",
        ),
    ],
)
def test_it_refuses_an_unsound_header(write, header, data: bytes, reason: str):
    assert reason in refusal(write(pack(header, data)))


def test_it_refuses_a_header_that_is_too_long_before_reading_it(write):
    path = write(struct.pack("<Q", MAX_HEADER_BYTES + 1) + b"{")
    assert "more than the 16,777,216 allowed" in refusal(path)


def test_it_refuses_too_many_tensors(write):
    entry = b'"%d":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}'
    header = b"{" + b",".join(entry % number for number in range(100_001)) + b"}"
    assert "more than 100,000 tensors" in refusal(write(pack(header)))


def test_it_refuses_a_header_of_countless_parts_before_building_them(write):
    header = b'{"a":[' + b"[]," * 2_000_000 + b"[]]}"
    assert "parts" in refusal(write(pack(header)))


def test_its_messages_cannot_rewrite_a_terminal(write):
    message = refusal(write(pack({"a\x1b[2J\n" * 50: 1})))
    assert message.isprintable()
    assert len(message) < 250


VALID = save(
    {
        "conv.weight": torch.arange(12, dtype=torch.float32).reshape(3, 4),
        "conv.bias": torch.arange(3, dtype=torch.int16),
        "empty": torch.zeros(2, 0),
    },
    metadata={"spellmark.card": "{}"},
)
HEADER_END = 8 + int.from_bytes(VALID[:8], "little")

JSON_PIECES = st.sampled_from(
    [b"0", b"1", b"-", b"9", b"2.0", b"true", b"null", b"[", b"]", b"{", b"}", b",", b":", b'"',
     b'"dtype"', b'"F32"', b'"F8_E8M0"', b'"C64"', b"F4", b"\\ud800", b"\xff", b" ", b"1e1", b"[]"]
)  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A valid file with a few edits, most of them in its header."""
    contents = bytearray(VALID)
    for _ in range(draw(st.integers(0, 3))):
        end = draw(st.sampled_from([HEADER_END, len(contents)]))
        begin = draw(st.integers(0, max(0, min(end, len(contents)) - 1)))
        cut = draw(st.integers(0, 3))
        piece = draw(st.one_of(JSON_PIECES, st.binary(max_size=3), st.just(bytes(cut))))
        contents[begin : begin + cut] = piece
    if draw(st.booleans()) and len(contents) > 8:
        # Repair the length, so that the edits reach the parser rather than stop before it.
        grown = len(contents) - len(VALID)
        contents[:8] = struct.pack("<Q", max(0, HEADER_END - 8 + grown))
    return bytes(contents)


NUMBERS = st.sampled_from([0, 1, 2, 3, 4, 6, 12, 48, 51, 54, -1, 2.0, True, None, 2**63, "0"])


@st.composite
def rewritten(draw: st.DrawFn) -> bytes:
    """A valid file whose header stays JSON but says other things, often nearly true ones."""
    header = json.loads(VALID[8:HEADER_END])
    for _ in range(draw(st.integers(1, 3))):
        name = draw(st.sampled_from(sorted(header)))
        field = draw(st.sampled_from(["dtype", "shape", "data_offsets", "name"]))
        if field == "name":
            header[draw(st.text(max_size=4))] = header.pop(name)
        elif field == "dtype":
            header[name][field] = draw(st.sampled_from([*DTYPE_BYTES, "F4", "f32", ""]))
        else:
            header[name][field] = draw(st.lists(NUMBERS, max_size=4))
    return pack(header, draw(st.sampled_from([VALID[HEADER_END:], VALID[HEADER_END:-1]])))


@given(contents=st.one_of(mutated(), rewritten()))
@example(contents=VALID)
@example(contents=pack({}))
@example(contents=pack({"": {"dtype": "F8_E8M0", "shape": [1] * 64, "data_offsets": [0, 1]}}, b"a"))
@settings(
    max_examples=500,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_what_passes_the_check_loads_with_the_same_tensors(tmp_path: Path, contents: bytes):
    path = tmp_path / "mutated"
    path.write_bytes(contents)
    try:
        header = read_header(path)
    except ModelFileError:
        return
    loaded = load_file(path)
    assert {t.name: t.shape for t in header.tensors} == {
        name: tuple(tensor.shape) for name, tensor in loaded.items()
    }
    data = contents[8 + int.from_bytes(contents[:8], "little") :]
    begin = 0
    for tensor in header.tensors:
        raw = loaded[tensor.name].contiguous().flatten().view(torch.uint8).numpy()
        assert raw.tobytes() == data[begin : begin + raw.nbytes]
        begin += raw.nbytes
    assert begin == len(data)


@given(
    tensors=st.dictionaries(
        st.text(min_size=1, max_size=8),
        st.tuples(
            st.sampled_from([np.uint8, np.int64, np.float16, np.float32, np.float64, np.bool_]),
            st.lists(st.integers(0, 3), max_size=4),
        ),
        max_size=6,
    )
)
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_it_accepts_every_file_the_library_saves(tmp_path: Path, tensors):
    arrays = {
        name: torch.from_numpy(np.zeros(shape, dtype)) for name, (dtype, shape) in tensors.items()
    }
    path = tmp_path / "saved"
    path.write_bytes(save(arrays))
    assert {t.name: list(t.shape) for t in read_header(path).tensors} == {
        name: shape for name, (_, shape) in tensors.items()
    }
