"""What a draft takes and what it refuses. Over the network: tests/api/test_live_uploads.py."""

import json
import pickle
import struct
from hashlib import sha256
from pathlib import Path

import pytest

from registry import services, storage
from registry.models import File
from registry.services import RegistryError, file_upload, model_create, version_create
from registry.storage import StorageError
from spellmark.errors import SpellmarkError
from spellmark.model_files.errors import ModelFileError
from tests.factories import model_file

TENSOR = {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}


@pytest.fixture
def draft(alice_actor):
    return version_create(actor=alice_actor, model=model_create(actor=alice_actor, name="robin"))


@pytest.fixture
def upload(alice_actor, draft):
    def send(data: bytes, name: str = "model.safetensors", **choices) -> File:
        return file_upload(actor=alice_actor, version=draft, name=name, chunks=[data], **choices)

    return send


def _safetensors(header: object, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def _kept(settings) -> list[Path]:
    return [path for path in settings.STORAGE.rglob("*") if path.is_file()]


def test_a_file_is_kept_with_its_digest_size_and_card(upload, settings):
    data = model_file()
    file = upload(data, expected_size=len(data), expected_sha256=sha256(data).hexdigest().upper())
    assert (file.sha256, file.size) == (sha256(data).hexdigest(), len(data))
    assert file.format == "safetensors"
    assert file.summary["card"]["classes"] == 10
    assert storage.get(file.sha256) == data
    assert _kept(settings) == [storage.path_of(file.sha256)]


def test_a_second_upload_under_one_name_takes_the_place_of_the_first(upload, draft):
    upload(model_file())
    second = upload(model_file(description="second"))
    assert draft.files.get().sha256 == second.sha256


def test_a_file_without_a_card_is_taken(upload):
    assert upload(_safetensors(TENSOR, bytes(8))).summary == {"tensors": 1}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "an empty file"),
        (pickle.dumps({"weights": [1, 2]}), "a Python pickle"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "HDF5"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"hello", "in no format"),
        (_safetensors(TENSOR, bytes(7)), "1 bytes are missing"),
        (_safetensors(TENSOR, bytes(9)), "1 bytes belong to no tensor"),
        (_safetensors(TENSOR, bytes(8))[:20], "cut short"),
        (_safetensors(TENSOR, bytes(8), length=1 << 39), "longer than|cut short|header"),
        (_safetensors({"w": {**TENSOR["w"], "shape": [1 << 40]}}, bytes(8)), "needs .* bytes"),
        (_safetensors({"w": {**TENSOR["w"], "shape": [-2]}}, bytes(8)), "negative number"),
        (_safetensors({"w": {**TENSOR["w"], "data_offsets": [4, 12]}}, bytes(12)), "a hole"),
        (_safetensors(b'{"w":%s,"w":%s}' % ((json.dumps(TENSOR["w"]).encode(),) * 2), bytes(8)),
         "stands twice"),
        (_safetensors({"__metadata__": {"spellmark.card": "{}"}, **TENSOR}, bytes(8)),
         "model card"),
    ],
)  # fmt: skip
def test_it_refuses_what_is_no_sound_model_file(upload, draft, settings, data, said):
    with pytest.raises(SpellmarkError, match=said) as refused:
        upload(data)
    assert refused.value.hint
    assert (draft.files.count(), _kept(settings)) == (0, [])


def test_the_files_name_decides_nothing(upload):
    with pytest.raises(ModelFileError, match="a Python pickle"):
        upload(pickle.dumps([1]), name="weights.onnx")
    assert upload(model_file(), name="weights.bin").format == "safetensors"


@pytest.mark.parametrize(
    "name",
    [
        "", ".", "..", ".hidden", "../../etc/passwd", "a/b", "/etc/passwd", "a\\b", "..\\a",
        "a\x00b", "a\nb", "a\r\nSet-Cookie: x", "a\u202eb", "\ud800", "x" * 201,
    ],
)  # fmt: skip
def test_it_refuses_names_that_are_more_than_a_name(upload, draft, settings, name):
    with pytest.raises(RegistryError, match="not a name for a file"):
        upload(model_file(), name=name)
    assert (draft.files.count(), _kept(settings)) == (0, [])


def test_odd_but_harmless_names_are_kept_as_they_are(upload):
    for name in (
        "model v2 (final).safetensors",
        "モデル.safetensors",
        '"; rm -rf ~',
        "a..b",
        "%2e%2e",
    ):
        assert upload(model_file(), name=name).name == name


def test_it_refuses_bytes_with_another_digest_than_announced(upload, draft, settings):
    with pytest.raises(RegistryError, match="announced SHA-256"):
        upload(model_file(), expected_sha256="0" * 64)
    assert (draft.files.count(), _kept(settings)) == (0, [])


def test_it_refuses_half_an_upload(upload, draft, settings):
    data = model_file()
    with pytest.raises(StorageError, match="stopped at"):
        upload(data[: len(data) // 2], expected_size=len(data))
    assert (draft.files.count(), _kept(settings)) == (0, [])


def test_a_failed_upload_leaves_the_earlier_file_alone(upload, draft):
    first = upload(model_file())
    with pytest.raises(ModelFileError):
        upload(b"broken")
    assert draft.files.get().sha256 == first.sha256
    assert storage.get(first.sha256)


def test_a_version_takes_so_many_files_and_no_more(upload, draft, monkeypatch):
    monkeypatch.setattr(services, "MAX_FILES", 1)
    upload(model_file())
    with pytest.raises(RegistryError, match="at most 1 files"):
        upload(model_file(), name="second.safetensors")


def test_nothing_is_read_from_those_who_may_not_write(acme, alice_actor, draft):
    reader = type(alice_actor)(acme, "reader", frozenset({"read"}))
    with pytest.raises(SpellmarkError, match="permission to write"):
        file_upload(
            actor=reader, version=draft, name="a.onnx",
            chunks=iter(lambda: pytest.fail("it was read"), None),
        )  # fmt: skip
