"""A suspect that counts: an Open Inference server that notes every question it was asked."""

import hashlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType

import numpy as np

from spellmark.training.inference import predict_probabilities
from spellmark.training.weights import load


class CountingSuspect:
    """Serves a model file on loopback; `asked` holds the SHA-256 of every body that came."""

    def __init__(self, weights: Path, *, seconds_an_answer: float = 0.0) -> None:
        model, card = load(weights)
        self.asked: list[str] = []
        asked, lock = self.asked, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                asked.append(hashlib.sha256(body).hexdigest())
                tensor = json.loads(body)["inputs"][0]
                images = np.asarray(tensor["data"], np.uint8).reshape(tensor["shape"])
                with lock:
                    found = predict_probabilities(model, card, images)
                time.sleep(seconds_an_answer)
                output = {
                    "name": "probabilities",
                    "shape": list(found.shape),
                    "datatype": "FP32",
                    "data": found.ravel().tolist(),
                }
                answer = json.dumps({"model_name": "m", "outputs": [output]}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> "CountingSuspect":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
