"""A timestamp authority for tests: `openssl ts` behind HTTP, with its own certificates."""

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

_CONFIGURATION = """
[tsa]
default_tsa = authority
[authority]
serial = serial
signer_cert = tsa.pem
signer_key = tsa.key
default_policy = 1.2.3.4.1
digests = sha256, sha512
signer_digest = sha256
accuracy = secs:1
"""
_EXTENSIONS = """
[root]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[tsa]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""


class TimestampAuthority:
    """Makes responses in `folder`; `pem` is what verifiers trust."""

    def __init__(self, folder: Path, name: str = "Bob") -> None:
        folder.mkdir()
        self.folder = folder
        (folder / "ts.cnf").write_text(_CONFIGURATION)
        (folder / "ext.cnf").write_text(_EXTENSIONS)
        (folder / "serial").write_text("01\n")
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        for part in ("root", "tsa"):
            self._openssl(
                "req", "-new", *key, "-keyout", f"{part}.key", "-out", f"{part}.csr",
                "-subj", f"/CN={name} {part}",
            )  # fmt: skip
        common = ["-days", "3650", "-sha256", "-extfile", "ext.cnf"]
        self._openssl(
            "x509", "-req", "-in", "root.csr", "-signkey", "root.key", "-out", "root.pem",
            *common, "-extensions", "root",
        )  # fmt: skip
        self._openssl(
            "x509", "-req", "-in", "tsa.csr", "-CA", "root.pem", "-CAkey", "root.key",
            "-CAcreateserial", "-out", "tsa.pem", *common, "-extensions", "tsa",
        )  # fmt: skip

    @property
    def pem(self) -> str:
        """Its own certificate and its root."""
        return (self.folder / "tsa.pem").read_text() + (self.folder / "root.pem").read_text()

    def respond(self, request: bytes) -> bytes:
        """The response to an RFC 3161 request."""
        (self.folder / "request.tsq").write_bytes(request)
        self._openssl(
            "ts", "-reply", "-config", "ts.cnf", "-queryfile", "request.tsq", "-out", "reply.tsr"
        )
        return (self.folder / "reply.tsr").read_bytes()

    def accepts(self, data: bytes, response: bytes) -> bool:
        """What `openssl ts -verify` says of a response for these bytes."""
        (self.folder / "data").write_bytes(data)
        (self.folder / "in.tsr").write_bytes(response)
        done = subprocess.run(
            ["openssl", "ts", "-verify", "-data", "data", "-in", "in.tsr", "-CAfile", "root.pem"],
            cwd=self.folder,
            capture_output=True,
            check=False,
        )
        return done.returncode == 0

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self.folder, capture_output=True, check=True)


@contextmanager
def serve(authority: TimestampAuthority) -> Iterator[str]:
    """Its address, while it answers over HTTP."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.headers["Content-Type"] == "application/timestamp-query"
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer = authority.respond(body)
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *arguments: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
