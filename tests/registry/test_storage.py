from hashlib import sha256
from pathlib import Path

import pytest

from registry import storage
from registry.storage import StorageError


@pytest.fixture
def folder(settings) -> Path:
    return settings.STORAGE


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_bytes_lie_under_their_digest(folder):
    digest = storage.put(b"weights")
    assert digest == sha256(b"weights").hexdigest()
    assert storage.path_of(digest) == folder / "sha256" / digest[:2] / digest[2:]
    assert storage.get(digest) == b"weights"
    assert b"".join(storage.read_chunks(digest)) == b"weights"


def test_the_same_bytes_are_kept_once(folder):
    assert storage.put(b"weights") == storage.put(b"weights")
    storage.put(b"other weights")
    assert len(_files(folder)) == 2


def test_kept_bytes_are_not_for_writing(folder):
    assert storage.path_of(storage.put(b"weights")).stat().st_mode & 0o777 == 0o440


def test_altered_bytes_are_noticed(folder):
    digest = storage.put(b"weights")
    path = storage.path_of(digest)
    path.chmod(0o640)
    path.write_bytes(b"Weights")
    with pytest.raises(StorageError, match="were altered"):
        storage.get(digest)


@pytest.mark.parametrize(
    "read", [storage.get, storage.path_of, lambda d: [*storage.read_chunks(d)]]
)
def test_missing_bytes_are_told(folder, read):
    with pytest.raises(StorageError, match="holds no bytes"):
        read("0" * 64)


def test_bytes_that_are_not_kept_are_gone(folder):
    with storage.receive([b"wei", b"ghts"]) as incoming:
        assert incoming.path.read_bytes() == b"weights"
        assert (incoming.sha256, incoming.size) == (sha256(b"weights").hexdigest(), 7)
    assert _files(folder) == []


@pytest.mark.parametrize("size", [6, 8, 0])
def test_it_refuses_another_size_than_was_announced(folder, size):
    with (
        pytest.raises(StorageError, match=f"stopped at 7 of {size} bytes"),
        storage.receive([b"weights"], expected_size=size),
    ):
        pytest.fail("it was let in")
    assert _files(folder) == []


def test_a_sender_that_breaks_off_leaves_nothing(folder):
    def chunks():
        yield b"wei"
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError), storage.receive(chunks()):
        pytest.fail("it was let in")
    assert _files(folder) == []


def test_too_many_bytes_stop_where_the_limit_is(folder, settings):
    settings.MAX_FILE_BYTES = 10
    taken = []

    def chunks():
        for _ in range(5):
            taken.append(4)
            yield b"four"

    with pytest.raises(StorageError, match="larger than the 10 bytes"), storage.receive(chunks()):
        pytest.fail("it was let in")
    assert (sum(taken), _files(folder)) == (12, [])


def test_an_announced_size_above_the_limit_is_refused_before_bytes_move(folder, settings):
    settings.MAX_FILE_BYTES = 10
    with (
        pytest.raises(StorageError, match="larger than the 10 bytes"),
        storage.receive(iter(lambda: pytest.fail("it was read"), None), expected_size=11),
    ):
        pytest.fail("it was let in")
    with storage.receive([b"0123456789"], expected_size=10) as incoming:
        assert incoming.size == 10
