"""A witness over HTTP: `POST /add-checkpoint`, `GET /<origin hash>/checkpoint`."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from spellmark.certificates.witness import MAX_REQUEST_BYTES, Answer, Witness

TIMEOUT_SECONDS = 30


def serve(witness: Witness, host: str, port: int) -> ThreadingHTTPServer:
    """A server that is bound but not started; call `serve_forever`. Port 0 picks a free one."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = TIMEOUT_SECONDS
        # Head and body are two writes; without this the second waits for the first's receipt.
        wbufsize = -1
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            if not length.isdigit() or int(length) > MAX_REQUEST_BYTES:
                self.close_connection = True
                self._send(Answer(413, b"The request is too long or has no length.\n"))
                return
            body = self.rfile.read(int(length))
            if self.path != "/add-checkpoint":
                self._send(Answer(404, b"Ask for /add-checkpoint.\n"))
                return
            self._send(witness.add_checkpoint(body))

        def do_GET(self) -> None:
            origin_hash, slash, name = self.path.strip("/").partition("/")
            if not slash or name != "checkpoint":
                self._send(Answer(404, b"Ask for /<origin hash>/checkpoint.\n"))
                return
            self._send(witness.latest(origin_hash))

        def log_message(self, *arguments: object) -> None:
            """Nothing: the log tells what it asked for."""

        def _send(self, answer: Answer) -> None:
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.content_type)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

    server = ThreadingHTTPServer((host, port), Handler)
    server.daemon_threads = True
    return server
