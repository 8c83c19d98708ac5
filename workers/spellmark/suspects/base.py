"""What every suspect has in common: a request, an answer, and the ways to fail.

Asking is split in three, so that a caller can record the digest of a request before it is sent
and the bytes of a response before they are read: after a crash, it knows what was asked already.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Protocol, Self

import numpy as np
import numpy.typing as npt

from spellmark.errors import SpellmarkError
from spellmark.model_files.text import shown

# refused: the egress policy or the suspect said no. unreachable: no whole answer came.
# server-error: the suspect failed or is busy. bad-answer: it answered, but not to the question.
Kind = Literal["refused", "unreachable", "server-error", "bad-answer"]
Level = Literal["probabilities", "labels", "scores"]


class SuspectError(SpellmarkError):
    """A suspect that did not answer, or not as it should. `kind` says in which way."""

    def __init__(self, message: str, *, kind: Kind, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.kind = kind


class SuspectConfigError(SpellmarkError):
    """A suspect that is described wrongly, or images that it cannot be asked about."""


@dataclass(frozen=True, slots=True)
class Request:
    """The bytes of one question and their SHA-256, 64 hex digits."""

    body: bytes
    sha256: str

    @classmethod
    def of(cls, body: bytes) -> Self:
        """The request with this body."""
        return cls(body, hashlib.sha256(body).hexdigest())


@dataclass(frozen=True, slots=True)
class Response:
    """What came back: HTTP status, bytes, seconds from sending to the last byte.

    tls_certificate_sha256: of the server's DER certificate, 64 hex digits; None without TLS.
    """

    status: int
    body: bytes
    seconds: float
    tls_certificate_sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a suspect says about n images.

    labels: int64 (n,), the most likely class of each, the first one of a tie.
    probabilities: float64 (n, classes) at level "probabilities", else None.
    scores: float64 (n, classes) at level "scores": numbers that are no probabilities, such as
    logits; else None.
    """

    labels: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float64] | None
    level: Level
    scores: npt.NDArray[np.float64] | None = None


class Suspect(Protocol):
    """A model that can be asked about images."""

    def describe(self) -> dict[str, object]:
        """What a certificate says of the suspect, ready for JSON. Never a secret."""

    def prepare(self, images: npt.NDArray[np.uint8]) -> Request:
        """The request about uint8 images (n, C, H, W): the same bytes for the same images.

        Raises SuspectConfigError for images it cannot ask about.
        """

    def send(self, request: Request) -> Response:
        """Ask once, and never again by itself. Any HTTP status is a response.

        Raises SuspectError (refused, unreachable, bad-answer).
        """

    def read(self, response: Response, count: int) -> Answer:
        """The answer in a response about `count` images. Raises SuspectError."""

    def close(self) -> None:
        """Let go of connections and memory."""


def check_images(images: npt.NDArray[np.uint8]) -> None:
    """Raise SuspectConfigError unless `images` is uint8 (n, C, H, W) with n of at least 1."""
    if images.dtype != np.uint8 or images.ndim != 4 or images.size == 0:
        raise SuspectConfigError(
            f"Images of dtype {images.dtype} and shape {images.shape} cannot be asked about.",
            hint="Give uint8 images of shape (n, channels, height, width), at least one.",
        )


def check_status(response: Response, secrets: Iterable[str] = ()) -> None:
    """Raise SuspectError unless the HTTP status is 200.

    The message quotes the beginning of the body, without `secrets` that it may echo.
    """
    status = response.status
    if status == 200:
        return
    said = f"The suspect answered with HTTP status {status}{_quoted(response.body, secrets)}."
    if status >= 500 or status == 429:
        raise SuspectError(
            said, kind="server-error", hint="Try again later, or ask for less at once."
        )
    if 300 <= status < 400:
        raise SuspectError(
            said, kind="refused", hint="Redirects are not followed: give the URL it leads to."
        )
    if status >= 400:
        raise SuspectError(
            said, kind="refused", hint="Check the URL, the model's name and the credentials."
        )
    raise SuspectError(said, kind="bad-answer", hint="Check that the URL is the model's.")


def hide(text: str, secrets: Iterable[str]) -> str:
    """`text` without the secrets that a suspect may echo in it."""
    for secret in secrets:
        # “Bearer abc123” may come back as “abc123”. What is shorter than that protects nothing.
        for part in (secret, *secret.split()):
            text = text.replace(part, "[hidden]") if len(part) > 4 else text
    return text


def _quoted(body: bytes, secrets: Iterable[str]) -> str:
    text = shown(hide(body[:2000].decode(errors="replace"), secrets), 200)
    return f": “{text}”" if text else ""
