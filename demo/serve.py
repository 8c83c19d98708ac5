"""Serves a model file over HTTP with LitServe, speaking the Open Inference Protocol V2.

The server stands for somebody else's: the platform knows its address only. With a guard file named
in SPELLMARK_GUARD it stands for an owner's, whose answers are marked.
"""

import argparse
import os
from pathlib import Path
from typing import Any

import litserve
import numpy as np

from demo.people import DECIMALS
from spellmark.training.inference import predict_probabilities
from spellmark.training.weights import load
from spellmark.watermarks.dynamic.serving.litserve import guarded


class Classifier(litserve.LitAPI):
    """Uint8 images in, class probabilities out."""

    def __init__(self, weights: Path, name: str) -> None:
        super().__init__(api_path=f"/v2/models/{name}/infer")
        self.weights, self.name = weights, name

    def setup(self, device: str) -> None:
        """Load the weights, once in each serving process."""
        self.model, self.card = load(self.weights)

    def decode_request(self, request: dict[str, Any], **_: Any) -> np.ndarray:
        """The images of an inference request."""
        tensor = request["inputs"][0]
        return np.asarray(tensor["data"], np.uint8).reshape(tensor["shape"])

    def predict(self, images: np.ndarray, **_: Any) -> np.ndarray:
        """Class probabilities, as a service would round them."""
        return predict_probabilities(self.model, self.card, images).round(DECIMALS)

    def encode_response(self, output: np.ndarray, **_: Any) -> dict[str, Any]:
        """The answer of an inference request."""
        return {
            "model_name": self.name,
            "outputs": [
                {
                    "name": "probabilities",
                    "shape": list(output.shape),
                    "datatype": "FP32",
                    "data": output.ravel().tolist(),
                }
            ],
        }


GUARD_FILE = os.environ.get("SPELLMARK_GUARD", "")


@guarded(GUARD_FILE)
class GuardedClassifier(Classifier):
    """The same, its answers marked."""


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--name", default="classifier")
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    classifier = GuardedClassifier if GUARD_FILE else Classifier
    api = classifier(options.weights, options.name)
    server = litserve.LitServer(api, accelerator="cpu", timeout=120)
    server.run(host="127.0.0.1", port=options.port, generate_client_file=False, log_level="warning")


if __name__ == "__main__":
    main()
