"""Request bodies that are files: streamed, never held in memory."""

from collections.abc import Iterator
from typing import Any

from drf_spectacular.types import OpenApiTypes
from rest_framework.request import Request

from registry.storage import CHUNK
from spellmark.errors import SpellmarkError

BINARY: dict[str, Any] = {"application/octet-stream": OpenApiTypes.BINARY}


class UploadError(SpellmarkError):
    """A body that does not say how long it is."""


def content_length(request: Request) -> int:
    """The announced size in bytes. Raises UploadError."""
    try:
        return int(request.META["CONTENT_LENGTH"])
    except (KeyError, ValueError):
        raise UploadError(
            "The request does not say how many bytes it brings.",
            hint="Send the file as the body, with a Content-Length.",
        ) from None


def body_chunks(request: Request) -> Iterator[bytes]:
    """The body as it arrives; it ends early when the sender goes away."""
    stream = request._request
    try:
        while chunk := stream.read(CHUNK):
            yield chunk
    except OSError:
        return
