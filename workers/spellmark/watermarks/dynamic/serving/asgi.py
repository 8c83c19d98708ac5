"""The guard as ASGI middleware: FastAPI, Starlette, LitServe, and whatever else speaks ASGI.

One line, here for Starlette and FastAPI:

    app.add_middleware(GuardMiddleware, guard_file="guard.json")
"""

import gzip
import json
import logging
import zlib
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from pathlib import Path
from typing import Any, NoReturn

from spellmark.errors import SpellmarkError
from spellmark.watermarks.dynamic.guard_file import GuardFile, Guards, load_guards
from spellmark.watermarks.dynamic.parameters import DynamicMarkError
from spellmark.watermarks.dynamic.serving.json_format import Mark
from spellmark.watermarks.dynamic.serving.open_inference import guard_outputs

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = Iterable[tuple[bytes, bytes]]

# They describe the body as it was.
_STALE = {
    b"content-length", b"content-encoding", b"content-md5", b"digest", b"content-digest",
    b"repr-digest", b"etag",
}  # fmt: skip
# Open Inference V2 with tensors behind the JSON: the guard would miss them.
_BINARY = b"inference-header-content-length"
_REFUSAL = b'{"error":"The answer could not be guarded, so it is not sent."}'

logger = logging.getLogger(__name__)


class GuardMiddleware:
    """Marks the JSON answers of an app; all other answers pass byte for byte.

    guard_file: a path, or guards that are loaded. client_of: from an ASGI scope the name of the
    client that asks, such as a header that the service has checked; left out, all share one key.
    mark: what to change in the JSON; left out, answers of the Open Inference Protocol V2.

    Only answers that succeed are marked. An answer that the guard cannot read or mark is not sent:
    the client gets status 500, and the log says why.

    Raises SpellmarkError where the guard file cannot be used.
    """

    def __init__(
        self,
        app: App,
        *,
        guard_file: str | Path | GuardFile | Guards,
        client_of: Callable[[Scope], str] = lambda scope: "",
        mark: Mark = guard_outputs,
    ) -> None:
        self.app, self.guards = app, load_guards(guard_file)
        self.client_of, self.mark = client_of, mark

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = _Exchange(self, scope, receive, send)
        await self.app(scope, exchange.receive, exchange.send)


class _Exchange:
    """One request and its answer."""

    def __init__(
        self, middleware: GuardMiddleware, scope: Scope, receive: Receive, send: Send
    ) -> None:
        self._middleware, self._scope = middleware, scope
        self._receive, self._send = receive, send
        self._asked, self._answered = bytearray(), bytearray()
        # The start of an answer that is to be marked: held back until the whole of it is there.
        self._start: Message | None = None
        self._refused = False

    async def receive(self) -> Message:
        message = await self._receive()
        if self._middleware.guards.cells > 1 and message["type"] == "http.request":
            self._asked += message.get("body", b"")
        return message

    async def send(self, message: Message) -> None:
        if self._refused:
            return
        if message["type"] == "http.response.start" and _is_marked(message):
            self._start = message
        elif self._start is None:
            await self._send(message)
        elif message["type"] == "http.response.body":
            self._answered += message.get("body", b"")
            if not message.get("more_body", False):
                await self._send_whole(self._start)
        elif message["type"] != "http.response.start":
            # A file that the server is to send by itself, for one.
            await self._refuse(f"the app sends it by {message['type']}")

    async def _send_whole(self, start: Message) -> None:
        headers = _headers(start)
        try:
            body = self._marked(headers)
        # Whatever goes wrong: an unmarked answer is never sent.
        except Exception as error:
            known = isinstance(error, SpellmarkError)
            await self._refuse(str(error) if known else type(error).__name__)
            return
        if body is not None:
            fresh = [pair for pair in headers if pair[0].lower() not in _STALE]
            start["headers"] = [*fresh, (b"content-length", b"%d" % len(body))]
        await self._send(start)
        await self._send(
            {
                "type": "http.response.body",
                "body": bytes(self._answered) if body is None else body,
                "more_body": False,
            }
        )

    def _marked(self, headers: Headers) -> bytes | None:
        """The body to send instead, or None where nothing in it is to be marked."""
        if not self._answered:
            return None
        told = {name.lower(): value for name, value in headers}
        if _BINARY in told:
            _refuse("The answer has binary tensors.")
        answer = json.loads(_decoded(bytes(self._answered), told.get(b"content-encoding", b"")))
        guard = self._middleware.guards(self._middleware.client_of(self._scope))
        request = json.loads(self._asked) if guard.cells > 1 and self._asked else None
        marked = self._middleware.mark(guard, answer, request)
        if marked is answer:
            return None
        return json.dumps(marked, separators=(",", ":"), ensure_ascii=False).encode()

    async def _refuse(self, reason: str) -> None:
        logger.error("An answer was not sent, for it could not be guarded: %s", reason)
        self._refused = True
        length = b"%d" % len(_REFUSAL)
        headers = [(b"content-type", b"application/json"), (b"content-length", length)]
        await self._send({"type": "http.response.start", "status": 500, "headers": headers})
        await self._send({"type": "http.response.body", "body": _REFUSAL, "more_body": False})


def _is_marked(start: Message) -> bool:
    """Whether an answer may hold probabilities."""
    if not 200 <= start["status"] < 300:
        return False
    told = {name.lower(): value for name, value in _headers(start)}
    kind = told.get(b"content-type", b"").partition(b";")[0].strip().lower()
    return kind == b"application/json" or kind.endswith(b"+json") or _BINARY in told


def _headers(start: Message) -> list[tuple[bytes, bytes]]:
    return [(bytes(name), bytes(value)) for name, value in start.get("headers", ())]


def _decoded(body: bytes, encoding: bytes) -> bytes:
    encoding = encoding.strip().lower()
    if encoding in (b"", b"identity"):
        return body
    if encoding != b"gzip":
        _refuse(f"The answer is compressed by {encoding.decode('latin-1')}.")
    try:
        return gzip.decompress(body)
    except (OSError, EOFError, zlib.error):
        _refuse("The answer says it is compressed, and is not.")


def _refuse(message: str) -> NoReturn:
    raise DynamicMarkError(
        message, hint="Let the app send plain JSON, and put the guard nearer to it."
    )
