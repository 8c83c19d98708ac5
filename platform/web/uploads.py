"""Files: streamed in from request bodies, streamed out as downloads."""

from collections.abc import Iterator

from django.http import FileResponse, HttpRequest, HttpResponse, UnreadablePostError

from registry import storage
from spellmark.errors import SpellmarkError


class UploadError(SpellmarkError):
    """A body that does not say how long it is."""


def content_length(request: HttpRequest) -> int:
    """The announced size in bytes. Raises UploadError."""
    try:
        return int(request.META["CONTENT_LENGTH"])
    except (KeyError, ValueError):
        raise UploadError(
            "The request does not say how many bytes it brings.", hint="Upload a file."
        ) from None


def body_chunks(request: HttpRequest) -> Iterator[bytes]:
    """The body as it arrives; it ends early when the sender goes away."""
    try:
        while chunk := request.read(storage.CHUNK):
            yield chunk
    except UnreadablePostError:
        return


def download(data: bytes, *, name: str, content_type: str) -> HttpResponse:
    """Bytes as a file to be saved."""
    return HttpResponse(
        data,
        content_type=content_type,
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def stored(sha256: str, *, name: str, content_type: str = "") -> FileResponse:
    """Stored bytes as a file to be saved. Raises StorageError."""
    return FileResponse(
        storage.path_of(sha256).open("rb"),
        as_attachment=True,
        filename=name,
        content_type=content_type or "application/octet-stream",
    )
