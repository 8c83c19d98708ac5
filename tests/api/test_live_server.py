"""What only shows on a real server: gunicorn as `manage.py up` starts it, spoken to by hand."""

import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from http.client import HTTPResponse
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.db import connection

from registry.models import File, Model
from registry.services import model_create, version_create
from tests.factories import model_file
from verification.models import Suspect

ROOT = Path(__file__).resolve().parents[2]
FILES = "/api/v1/models/robin/versions/1/files"
MOST = 1_000_000

pytestmark = pytest.mark.usefixtures("committed")


@dataclass(frozen=True)
class Answer:
    """A status, the headers as they came, and the body."""

    status: int
    headers: str
    body: bytes

    @property
    def message(self) -> str:
        """What the error says."""
        return str(json.loads(self.body)["error"]["message"])


@dataclass(frozen=True)
class Server:
    """A running gunicorn."""

    socket: Path
    storage: Path
    token: str

    def connect(self) -> socket.socket:
        """A connection to it."""
        line = socket.socket(socket.AF_UNIX)
        line.settimeout(20)
        line.connect(str(self.socket))
        return line

    def head(self, method: str, path: str, *headers: str) -> bytes:
        """The beginning of a request."""
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost"]
        lines += [f"Authorization: Bearer {self.token}", *headers, "", ""]
        return "\r\n".join(lines).encode()

    def ask(self, method: str, path: str, *headers: str, body: bytes = b"") -> Answer:
        """Send a request, then hang up and read the answer to its end."""
        with self.connect() as line:
            # A refusal may come before the body is through; like curl, read it all the same.
            with suppress(BrokenPipeError, ConnectionResetError):
                line.sendall(self.head(method, path, *headers) + body)
                line.shutdown(socket.SHUT_WR)
            return read(line)

    def upload(self, name: str, data: bytes, *headers: str) -> Answer:
        """PUT a file into the draft."""
        length = f"Content-Length: {len(data)}"
        return self.ask("PUT", f"{FILES}/{name}", length, *headers, body=data)

    def kept(self) -> list[Path]:
        """Every file in the storage, also those that are only coming in."""
        return [path for path in self.storage.rglob("*") if path.is_file()]


def read(line: socket.socket) -> Answer:
    """The answer that comes over a connection."""
    with HTTPResponse(line) as response:
        response.begin()
        return Answer(response.status, str(response.headers), response.read())


def until(reached: Callable[[], object], seconds: float = 10) -> None:
    """Wait for something that happens in the server."""
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end, "it did not come to that in time"
        time.sleep(0.01)


@pytest.fixture(scope="module")
def gunicorn(django_db_setup) -> Iterator[Path]:
    """The folder of a running server: its socket is `web`, its files lie in `storage`."""
    address = urlsplit(os.environ["DATABASE_URL"])
    address = address._replace(path=f"/{connection.settings_dict['NAME']}")
    # A socket's path is short by nature, pytest's folders are not.
    with tempfile.TemporaryDirectory(prefix="smk-") as folder:
        home = Path(folder)
        environment = {
            **os.environ,
            "PYTHONPATH": f"{ROOT}/platform:{ROOT}/workers",
            "DATABASE_URL": address.geturl(),
            "SPELLMARK_STORAGE": str(home / "storage"),
            "SPELLMARK_MAX_FILE_BYTES": str(MOST),
        }
        command = [sys.executable, "-m", "gunicorn", "config.wsgi", "--bind", f"unix:{home}/web"]
        options = ["--workers", "2", "--threads", "4", "--no-control-socket"]
        with (home / "log").open("wb") as log:
            child = subprocess.Popen([*command, *options], env=environment, stdout=log, stderr=log)
        try:
            until((home / "web").exists, 30)
            yield home
        finally:
            child.terminate()
            child.wait(20)


@pytest.fixture
def server(gunicorn, alice_actor, acme, token_for) -> Iterator[Server]:
    """The server with an empty storage, and a draft to upload into."""
    version_create(actor=alice_actor, model=model_create(actor=alice_actor, name="robin"))
    running = Server(gunicorn / "web", gunicorn / "storage", token_for(acme))
    yield running
    for path in running.kept():
        path.unlink()


def test_a_whole_upload_is_kept(server):
    data = model_file()
    answer = server.upload(
        "model.safetensors", data, f"X-Content-SHA256: {sha256(data).hexdigest()}"
    )
    assert answer.status == 201
    assert File.objects.get().sha256 == sha256(data).hexdigest()
    (path,) = server.kept()
    assert path.read_bytes() == data


def test_an_upload_that_stops_half_way_leaves_nothing(server):
    data = model_file()
    half = data[: len(data) // 2]
    length = f"Content-Length: {len(data)}"
    answer = server.ask("PUT", f"{FILES}/model.safetensors", length, body=half)
    assert answer.status == 400
    assert f"stopped at {len(half):,} of {len(data):,} bytes" in answer.message
    assert not File.objects.exists()
    assert server.kept() == []


def test_a_sender_that_vanishes_leaves_nothing(server):
    line = server.connect()
    # Reset instead of a polite goodbye.
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    line.sendall(server.head("PUT", f"{FILES}/model.safetensors", f"Content-Length: {MOST}"))
    line.sendall(model_file())
    until(server.kept)  # the bytes are on their way in
    line.close()
    until(lambda: not server.kept())
    assert not File.objects.exists()


def test_half_a_suspect_leaves_nothing(server):
    data = model_file()
    path, length = "/api/v1/suspects/files/found", f"Content-Length: {len(data)}"
    answer = server.ask("PUT", path, length, body=data[:-1])
    assert answer.status == 400
    assert not Suspect.objects.exists()
    assert server.kept() == []
    assert server.ask("PUT", path, length, body=data).status == 201
    assert Suspect.objects.get().sha256 == sha256(data).hexdigest()


def test_an_upload_that_does_not_say_its_length_is_refused(server):
    data = model_file()
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(data), data)
    for path in (f"{FILES}/model.safetensors", "/api/v1/suspects/files/found"):
        answer = server.ask("PUT", path, "Transfer-Encoding: chunked", body=chunked)
        assert answer.status == 400
        assert "does not say how many bytes" in answer.message
        assert server.ask("PUT", path).status == 400
    assert server.kept() == []


def test_an_upload_of_two_lengths_is_refused(server):
    for doubt in ("Transfer-Encoding: chunked", "Content-Length: 3"):
        answer = server.ask(
            "PUT", f"{FILES}/a", "Content-Length: 10", doubt, body=b"0\r\n\r\n12345"
        )
        assert answer.status == 400
    assert server.kept() == []


def test_a_file_that_is_too_large_is_refused_before_it_comes(server):
    with server.connect() as line:
        line.sendall(server.head("PUT", f"{FILES}/big", f"Content-Length: {MOST + 1}"))
        answer = read(line)
    assert answer.status == 400
    assert f"larger than the {MOST:,} bytes" in answer.message
    assert server.kept() == []


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "an empty file"),
        (b"\x80\x04\x95" + bytes(100), "a Python pickle"),
        (b"\xff\xff\xff\0\0\0\0\0{}", "cut short"),
        (b"\x02\0\0\0\0\0\0\0{}lies", "4 bytes belong to no tensor"),
    ],
)
def test_what_is_no_model_file_leaves_nothing(server, data, said):
    answer = server.upload("model.safetensors", data)
    assert answer.status == 400
    assert said in answer.message
    assert not File.objects.exists()
    assert server.kept() == []


def test_another_digest_than_announced_leaves_nothing(server):
    answer = server.upload("model.safetensors", model_file(), f"X-Content-SHA256: {'0' * 64}")
    assert answer.status == 400
    assert "announced SHA-256" in answer.message
    assert server.kept() == []


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("..%2F..%2F..%2Fetc%2Fpasswd", 404),
        ("a%2Fb", 404),
        ("../publish", 404),
        ("..", 400),
        (".hidden", 400),
        ("a%5Cb", 400),
        ("a%00b", 400),
        ("a%0D%0ASet-Cookie:%20x", 400),
        ("x" * 201, 400),
    ],
)
def test_a_name_leads_nowhere_else(server, name, status):
    answer = server.upload(name, model_file())
    assert answer.status == status, answer
    assert "Set-Cookie" not in answer.headers
    assert not File.objects.exists()
    assert server.kept() == []


def test_odd_names_come_back_as_they_were(server):
    data = model_file()
    assert server.upload("my%20%22model%22%20%E6%A9%9F.bin", data).status == 201
    answer = server.ask("GET", f"{FILES}/my%20%22model%22%20%E6%A9%9F.bin")
    assert (answer.status, answer.body) == (200, data)
    assert "attachment;" in answer.headers


def test_many_requests_of_one_key_are_one_write(server):
    body = json.dumps({"name": "wren"}).encode()
    headers = (
        "Idempotency-Key: release-1",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    )
    start, answers = threading.Barrier(6), []

    def write() -> None:
        start.wait(10)
        answers.append(server.ask("POST", "/api/v1/models", *headers, body=body))

    threads = [threading.Thread(target=write) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [answer.status for answer in answers] == [201] * 6
    assert len({json.loads(answer.body)["id"] for answer in answers}) == 1
    assert sum("idempotent-replay" in answer.headers.lower() for answer in answers) == 5
    assert Model.objects.filter(name="wren").count() == 1


def test_many_drafts_at_once_get_one_number_each(server):
    headers = ("Content-Type: application/json", "Content-Length: 2")
    path, numbers = "/api/v1/models/robin/versions", []

    def write() -> None:
        numbers.append(json.loads(server.ask("POST", path, *headers, body=b"{}").body)["number"])

    threads = [threading.Thread(target=write) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(numbers) == [2, 3, 4, 5, 6, 7]
