"""Suspects that are files: safetensors with a Spellmark model card, asked on this machine."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from spellmark.model_files.card import ModelCard
from spellmark.model_files.digests import sha256_file
from spellmark.model_files.inspect import inspect_model_file
from spellmark.suspects.base import (
    Answer,
    Request,
    Response,
    SuspectConfigError,
    SuspectError,
    check_images,
)

if TYPE_CHECKING:
    from torch import nn

# Answers are little-endian on every machine: their bytes are evidence.
_NUMBER = np.dtype("<f8")


class ModelFile:
    """A suspect that is a file. torch is loaded when it is first asked, not before.

    Raises ModelFileError for a file that is not sound, ModelCardError for one without a card,
    SuspectConfigError for ONNX.
    """

    def __init__(self, path: Path) -> None:
        info = inspect_model_file(path)
        if info.format != "safetensors":
            raise SuspectConfigError(
                f"A suspect file of the format {info.format.upper()} cannot be asked here.",
                hint="Serve it behind an HTTP endpoint and give its URL, or convert its weights.",
            )
        self._path = path
        self._card = ModelCard.from_metadata(info.metadata)
        self._sha256 = sha256_file(path)
        self._model: nn.Module | None = None

    def describe(self) -> dict[str, object]:
        """What a certificate says of the suspect: the file's digest, not its name or place."""
        return {
            "kind": "model-file",
            "protocol": "model-file",
            "sha256": self._sha256,
            "architecture": self._card.architecture,
            "classes": self._card.classes,
        }

    def prepare(self, images: npt.NDArray[np.uint8]) -> Request:
        """The pixels themselves, in row-major order."""
        check_images(images)
        if images.shape[1:] != self._shape:
            raise SuspectConfigError(
                f"Images of shape {images.shape[1:]} do not fit the model, "
                f"which takes {self._shape}.",
                hint="Ask about images of the size in the model card.",
            )
        return Request.of(images.tobytes())

    def send(self, request: Request) -> Response:
        """Compute the answer: float64 probabilities in row-major order.

        Raises WeightsError or ArchitectureError if the file's weights cannot be run.
        """
        from spellmark.training.inference import predict_probabilities
        from spellmark.training.weights import load

        begin = time.perf_counter()
        if self._model is None:
            self._model, _ = load(self._path)
        images = np.frombuffer(request.body, np.uint8).reshape(-1, *self._shape)
        probabilities = predict_probabilities(self._model, self._card, images)
        body = probabilities.astype(_NUMBER).tobytes()
        return Response(200, body, time.perf_counter() - begin)

    def read(self, response: Response, count: int) -> Answer:
        """The probabilities of `count` images."""
        classes = self._card.classes
        if len(response.body) != count * classes * _NUMBER.itemsize:
            raise _bad_answer(f"has not the length of {count} × {classes} numbers")
        table = np.frombuffer(response.body, _NUMBER).reshape(count, classes).astype(np.float64)
        if not np.isfinite(table).all():
            raise _bad_answer("has numbers that are not finite")
        return Answer(table.argmax(axis=1).astype(np.int64), table, "probabilities")

    def close(self) -> None:
        """Forget the loaded model."""
        self._model = None

    @property
    def _shape(self) -> tuple[int, int, int]:
        return self._card.channels, self._card.height, self._card.width


def _bad_answer(reason: str) -> SuspectError:
    return SuspectError(
        f"The model file's answer {reason}.",
        kind="bad-answer",
        hint="The file's weights may be broken; check it with its maker.",
    )
