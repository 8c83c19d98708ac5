"""A LitServe server whose answers are guarded: `python -m … GUARD_FILE --port N`.

It answers with the probabilities that it is asked about, so that a test knows them.
"""

import argparse
import os
from typing import Any

import litserve
import numpy as np

from spellmark.watermarks.dynamic.serving.litserve import guarded

# LitServe's processes import this module anew, and see no arguments.
GUARD_FILE = os.environ.get("GUARD_FILE", "")


def client_of(request: dict[str, Any]) -> str:
    return request.get("client", "")


class Echo(litserve.LitAPI):
    """Answers one row for one image, with batches or without."""

    def decode_request(self, request: dict[str, Any], **_: Any) -> np.ndarray:
        return np.array(request["probabilities"])

    def predict(self, x: np.ndarray, **_: Any) -> np.ndarray:
        return x

    def encode_response(self, output: np.ndarray, **_: Any) -> dict[str, Any]:
        return {"probabilities": output.tolist()}


@guarded(GUARD_FILE, client_of=client_of)
class Guarded(Echo):
    """In one line."""


@guarded(GUARD_FILE)
class GuardedAsync(litserve.LitAPI):
    """The same of coroutines."""

    async def decode_request(self, request: dict[str, Any]) -> np.ndarray:
        return np.array(request["probabilities"])

    async def predict(self, x: np.ndarray) -> np.ndarray:
        return x

    async def encode_response(self, output: np.ndarray) -> dict[str, Any]:
        return {"probabilities": output.tolist()}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    apis = [
        Guarded(api_path="/single"),
        Guarded(api_path="/batched", max_batch_size=4, batch_timeout=0.05),
        GuardedAsync(api_path="/async", enable_async=True),
        Echo(api_path="/plain"),
    ]
    server = litserve.LitServer(apis, accelerator="cpu", timeout=60)
    server.run(host="127.0.0.1", port=options.port, generate_client_file=False, log_level="warning")


if __name__ == "__main__":
    main()
