"""The tiles as a stranger's tool reads them: without a token, and with nothing but C2SP's rules."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from django.core.files.storage import FileSystemStorage
from moto.server import ThreadedMotoServer

from config.management.commands import sequencer
from ledger import tiles as ledger_tiles
from ledger.keys import ensure_signing_keys
from ledger.models import Checkpoint
from ledger.selectors import checkpoint_latest, policy, trust
from ledger.services import entries_queue, ledger_sequence
from ledger.tiles import TileStoreError, exported_size, tile_store, tiles_export
from spellmark.certificates import checkpoints, merkle, tiles
from spellmark.certificates.policy import Policy
from spellmark.certificates.tlog_proof import TlogProof
from spellmark.certificates.tlog_proof import verify as verify_proof

SIZE = 600


def _grow(count: int, *, start: int = 0) -> list[bytes]:
    bodies = [b'{"entry":%d}' % number for number in range(start, start + count)]
    entries_queue(bodies=bodies)
    assert ledger_sequence() == count
    return bodies


@pytest.fixture
def log(db) -> list[bytes]:
    ensure_signing_keys()
    return _grow(SIZE)


def _hashes(data: bytes) -> list[bytes]:
    return [data[start : start + 32] for start in range(0, len(data), 32)]


def _root(hashes: list[bytes]) -> bytes:
    """MTH of RFC 6962 over hashes that are leaves or whole subtrees."""
    if len(hashes) == 1:
        return hashes[0]
    half = 1 << (len(hashes) - 1).bit_length() - 1
    left, right = _root(hashes[:half]), _root(hashes[half:])
    return hashlib.sha256(b"\x01" + left + right).digest()


def _check(read, bodies: list[bytes]) -> None:
    """Root and entries, from the checkpoint and the tiles that it makes necessary alone."""
    signed = checkpoints.open_checkpoint(read("checkpoint"), trust().logs())
    assert signed.size == len(bodies)
    leaves, entries = [], []
    for start in range(0, signed.size, 256):
        width = min(256, signed.size - start)
        leaves += _hashes(read(tiles.Tile(0, start // 256, width).path))
        entries += tiles.unbundle(read(tiles.Tile(None, start // 256, width).path))
    assert entries == bodies
    assert leaves == [hashlib.sha256(b"\x00" + body).digest() for body in bodies]
    assert _root(leaves) == signed.root
    if full := signed.size // 256:
        upper = _hashes(read(tiles.Tile(1, 0, full).path))
        assert upper == [_root(leaves[n * 256 : n * 256 + 256]) for n in range(full)]


def test_anybody_verifies_the_log_from_its_tiles(client, log):
    def read(path: str) -> bytes:
        answer = client.get(f"/log/{path}")
        assert answer.status_code == 200, path
        return answer.content

    _check(read, log)
    _check(read, log + _grow(168, start=SIZE))


def test_tiles_are_kept_for_ever_and_checkpoints_are_not(client, log):
    answer = client.get("/log/tile/0/000")
    assert answer["Content-Type"] == "application/octet-stream"
    assert "immutable" in answer["Cache-Control"]
    answer = client.get("/log/checkpoint")
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert answer["Cache-Control"] == "public, max-age=2"


@pytest.mark.parametrize(
    "path",
    [
        "0/002",  # not full yet
        "0/002.p/89",  # wider than the log
        "0/000.p/256",
        "0/000.p/0",
        "0/3",
        "0/x000/000",
        "1/001",
        "2/000",
        "64/000",
        "entries/003",
        "00/000",
        "0/000/",
        "-1/000",
        "0/x001/x002",
    ],
)
def test_what_is_no_tile_of_the_log_is_404(client, log, path):
    assert client.get(f"/log/tile/{path}").status_code == 404


def test_an_older_partial_tile_stays_readable(client, log):
    assert len(client.get("/log/tile/0/000.p/7").content) == 7 * 32


def test_a_closed_log_is_404(client, log, settings):
    settings.LOG_PUBLIC = False
    for path in ("checkpoint", "tile/0/000", "policy", "keys"):
        assert client.get(f"/log/{path}").status_code == 404


def test_an_empty_log_has_no_checkpoint(client, db):
    assert client.get("/log/checkpoint").status_code == 404
    assert client.get("/log/tile/0/000.p/1").status_code == 404


def test_nobody_writes_here(client, log):
    assert client.post("/log/checkpoint").status_code == 405


def test_the_policy_opens_the_checkpoint(client, log):
    handed_over = Policy.loads(client.get("/log/policy").content)
    assert handed_over == policy()
    opened = handed_over.open_checkpoint(client.get("/log/checkpoint").content)
    assert opened.size == SIZE


def test_the_key_set_is_published(client, log):
    found = client.get("/log/keys").json()["keys"]
    assert {key["purpose"] for key in found} == {"certificate", "log", "log-ml-dsa-44"}


def test_proofs_over_the_api(api, log):
    root = bytes(Checkpoint.objects.get().root)
    answer = api.get("ledger/entries/5/proof")
    proof = TlogProof.loads(answer.content)
    assert verify_proof(proof, log[5], trust().logs()).size == SIZE
    for index, size in ((5, SIZE), (0, 1), (299, 300)):
        found = api.get(f"ledger/inclusion?index={index}&size={size}").json()["hashes"]
        expected = root if size == SIZE else _root([merkle.leaf_hash(b) for b in log[:size]])
        path = [bytes.fromhex(value) for value in found]
        merkle.verify_inclusion(merkle.leaf_hash(log[index]), index, size, path, expected)
    for wrong in ("index=5&size=5", f"index=0&size={SIZE + 1}"):
        assert api.get(f"ledger/inclusion?{wrong}").status_code == 404
    assert api.get(f"ledger/entries/{SIZE}/proof").status_code == 404


def test_a_static_host_serves_what_was_written_out(log, settings, tmp_path):
    settings.LOG_TILES = str(tmp_path / "static")

    def read(path: str) -> bytes:
        return Path(tmp_path / "static" / path).read_bytes()

    assert tiles_export() == 7
    _check(read, log)
    more = _grow(1000, start=SIZE)
    tiles_export()
    _check(read, log + more)
    assert tiles_export() == 0


def test_an_export_that_broke_off_is_made_up_for(log, settings, tmp_path, monkeypatch):
    settings.LOG_TILES = str(tmp_path)
    write = ledger_tiles._write
    written: list[str] = []

    def break_off(store, name, data):
        if len(written) == 3:
            raise OSError("no space left")
        written.append(name)
        write(store, name, data)

    with monkeypatch.context() as patched, pytest.raises(OSError, match="no space"):
        patched.setattr(ledger_tiles, "_write", break_off)
        tiles_export()
    assert not (tmp_path / "checkpoint").exists()
    assert tiles_export() == 7
    _check(lambda path: (tmp_path / path).read_bytes(), log)


class Rounds:
    """An event that is set after so many waits."""

    def __init__(self, count: int) -> None:
        self.left = count

    def wait(self, seconds: float) -> bool:
        self.left -= 1
        return self.left < 0


def test_the_sequencers_own_export_makes_up_for_a_round_that_failed(
    log, settings, tmp_path, caplog
):
    settings.LOG_TILES = str(tmp_path / "a file")
    (tmp_path / "a file").touch()
    sequencer._export(Rounds(1))
    assert "Tiles are not written out for now." in caplog.text
    (tmp_path / "a file").unlink()
    sequencer._export(Rounds(1))
    _check(lambda path: (tmp_path / "a file" / path).read_bytes(), log)


def _storage(folder: Path, **options: object) -> str:
    backend = "django.core.files.storage.FileSystemStorage"
    return json.dumps({"BACKEND": backend, "OPTIONS": {"location": str(folder), **options}})


def test_any_storage_of_django_serves(log, settings, tmp_path):
    settings.LOG_TILES = _storage(tmp_path, allow_overwrite=True)
    assert isinstance(tile_store(), FileSystemStorage)
    tiles_export()
    _grow(1, start=SIZE)
    tiles_export()
    assert exported_size(tile_store()) == SIZE + 1


@pytest.fixture
def bucket() -> Iterator[tuple[str, dict[str, str]]]:
    """Where a bucket of an S3 server is read by everybody, and what it takes to write there."""
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    address = "http://{}:{}".format(*server.get_host_and_port())
    options = {
        "bucket_name": "log", "endpoint_url": address, "access_key": "key",
        "secret_key": "secret", "region_name": "us-east-1", "default_acl": "public-read",
    }  # fmt: skip
    httpx.put(f"{address}/log").raise_for_status()
    yield f"{address}/log", options
    server.stop()


@pytest.mark.peer
def test_a_bucket_serves_what_was_written_out(log, settings, bucket):
    address, options = bucket
    settings.LOG_TILES = json.dumps(
        {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": options}
    )

    def read(path: str) -> bytes:
        return httpx.get(f"{address}/{path}").raise_for_status().content

    assert tiles_export() == 7
    _check(read, log)
    more = _grow(10, start=SIZE)
    # The last tile of hashes and the last bundle of entries.
    assert tiles_export() == 2
    _check(read, log + more)
    assert tiles_export() == 0


@pytest.mark.parametrize("value", ["{", '{"BACKEND": "no.such.Storage"}', '{"OPTIONS": {}}'])
def test_a_storage_that_is_none_is_named(log, settings, value):
    settings.LOG_TILES = value
    with pytest.raises(TileStoreError, match="does not name a storage"):
        tiles_export()


def test_a_storage_that_renames_is_refused_and_holds_no_checkpoint_up(log, settings, tmp_path):
    settings.LOG_TILES = _storage(tmp_path)
    tiles_export()
    _grow(1, start=SIZE)
    assert checkpoint_latest().size == SIZE + 1
    with pytest.raises(TileStoreError, match="under another name"):
        tiles_export()
