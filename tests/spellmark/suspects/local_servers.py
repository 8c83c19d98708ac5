"""Real servers on this machine, each answering as a test tells it to."""

import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Received:
    path: str
    headers: Mapping[str, str]
    body: bytes
    peer: tuple[str, int]


@dataclass
class Server:
    host: str
    port: int
    received: list[Received] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"


def reply(status: int = 200, body: bytes = b"{}", **headers: str) -> Answer:
    """Answer with this status and body."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


@pytest.fixture
def stopped() -> Iterator[threading.Event]:
    """Set when the test is over, for answers that hang until then."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def serve(stopped: threading.Event) -> Iterator[Callable[..., Server]]:
    servers = []

    def start(
        answer: Answer,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> Server:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                described.received.append(
                    Received(self.path, dict(self.headers), body, self.client_address)
                )
                answer(self)

            do_GET = do_POST  # noqa: N815

            def log_message(self, *args: object) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, *args: object) -> None:
                # A client that hangs up first is what many of these tests are about.
                pass

        http = Quiet((host, port), Handler)
        if tls is not None:
            http.socket = tls.wrap_socket(http.socket, server_side=True)
        described = Server(host, http.server_address[1])
        threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(http)
        return described

    yield start
    stopped.set()
    for server in servers:
        server.shutdown()
        server.server_close()
