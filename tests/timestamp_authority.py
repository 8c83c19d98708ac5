"""A timestamp authority for tests: `openssl ts` behind HTTP, with its own certificates."""

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

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

    def certify(self, until: datetime) -> None:
        """Give it another certificate of the same key, over at that time."""
        root, own = (
            x509.load_pem_x509_certificate((self.folder / f"{part}.pem").read_bytes())
            for part in ("root", "tsa")
        )
        signer = load_pem_private_key((self.folder / "root.key").read_bytes(), None)
        builder = (
            x509.CertificateBuilder()
            .subject_name(own.subject)
            .issuer_name(root.subject)
            .public_key(own.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(until - timedelta(days=1))
            .not_valid_after(until)
        )
        for extension in own.extensions:
            builder = builder.add_extension(extension.value, extension.critical)
        made = builder.sign(signer, SHA256())
        (self.folder / "tsa.pem").write_bytes(made.public_bytes(Encoding.PEM))

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
