import asyncio
import gzip
import json
import socket
import threading
import time

import httpx
import numpy as np
import pytest
import uvicorn

from spellmark.watermarks.dynamic import Guards
from spellmark.watermarks.dynamic.serving.asgi import GuardMiddleware
from spellmark.watermarks.dynamic.serving.json_format import at
from tests.spellmark.watermarks.dynamic.mark_samples import answers_of, guard_file_of, inputs_of

ANSWERS = answers_of(6)
JSON = [(b"content-type", b"application/json")]
V2 = json.dumps(
    {
        "model_name": "m",
        "outputs": [
            {"name": "p", "shape": [6, 5], "datatype": "FP64", "data": ANSWERS.ravel().tolist()}
        ],
    },
    indent=1,
).encode()


def start(status: int = 200, headers=JSON) -> dict:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def body(data: bytes, more: bool = False) -> dict:
    return {"type": "http.response.body", "body": data, "more_body": more}


def whole(data: bytes, status: int = 200, headers=JSON) -> list[dict]:
    length = (b"Content-Length", str(len(data)).encode())
    return [start(status, [*headers, length]), body(data)]


def app_of(*messages: dict):
    """An app that reads the whole request and sends these messages."""

    async def app(scope, receive, send) -> None:
        while scope["type"] == "http" and (await receive()).get("more_body"):
            pass
        for message in messages:
            await send(message)

    return app


def ask(app, *, request: bytes = b"{}", scope=None, **options) -> list[dict]:
    """The messages that a guarded app sends, asked in pieces of seven bytes."""
    options.setdefault("guard_file", guard_file_of())
    middleware = GuardMiddleware(app, **options)
    pieces = [request[begin : begin + 7] for begin in range(0, len(request), 7)]
    waiting = [
        {"type": "http.request", "body": piece, "more_body": number < len(pieces) - 1}
        for number, piece in enumerate(pieces)
    ]
    sent = []

    async def receive() -> dict:
        return waiting.pop(0)

    async def send(message) -> None:
        sent.append(message)

    asyncio.run(middleware(scope or {"type": "http", "headers": []}, receive, send))
    return sent


def probabilities(sent: list[dict]) -> np.ndarray:
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    headers = dict(sent[0]["headers"])
    assert headers[b"content-length"] == str(len(sent[1]["body"])).encode()
    assert sum(name.lower() == b"content-length" for name, _ in sent[0]["headers"]) == 1
    return np.array(json.loads(sent[1]["body"])["outputs"][0]["data"]).reshape(6, 5)


def is_refused(sent: list[dict]) -> bool:
    return (
        sent[0]["status"] == 500
        and b"could not be guarded" in sent[1]["body"]
        and json.loads(sent[1]["body"])
        and len(sent) == 2
    )


def test_an_answer_is_marked():
    sent = ask(app_of(*whole(V2)))
    assert (probabilities(sent) == guard_file_of().guard()(ANSWERS)).all()
    assert sent[0]["status"] == 200


def test_an_answer_in_pieces_is_marked_as_a_whole():
    pieces = [body(V2[begin : begin + 100], more=True) for begin in range(0, len(V2), 100)]
    sent = ask(app_of(start(), *pieces, body(b"")))
    assert (probabilities(sent) == guard_file_of().guard()(ANSWERS)).all()


def test_a_guard_with_cells_reads_the_request():
    file, inputs = guard_file_of(cells=4), inputs_of(6)
    tensor = {"name": "x", "shape": [6, 1, 8, 8], "datatype": "UINT8", "data": inputs.tolist()}
    request = json.dumps({"inputs": [tensor]}).encode()
    sent = ask(app_of(*whole(V2)), request=request, guard_file=file)
    assert (probabilities(sent) == file.guard()(ANSWERS, inputs)).all()
    assert is_refused(ask(app_of(*whole(V2)), request=b"{}", guard_file=file))
    assert is_refused(ask(app_of(*whole(V2)), request=b"\x1f\x8b", guard_file=file))


@pytest.mark.parametrize(
    "messages",
    [
        whole(b"\x89PNG", headers=[(b"content-type", b"image/png")]),
        whole(V2, headers=[(b"content-type", b"text/plain")]),
        whole(V2, headers=[]),
        whole(V2, status=404),
        whole(V2, status=503),
        whole(b'{ "name":"m", "outputs": [{"name": "p", "datatype": "FP32"}] }'),
        whole(b"[1, 2]"),
        whole(b""),
        whole(gzip.compress(b'{"live": true}'), headers=[*JSON, (b"content-encoding", b"gzip")]),
        [
            start(headers=[(b"content-type", b"text/event-stream")]),
            body(b"data: 1\n\n", more=True),
            body(b"data: 2\n\n"),
        ],
    ],
)
def test_everything_else_passes_as_it_is(messages):
    assert ask(app_of(*messages)) == messages


def test_other_protocols_pass():
    sent = ask(app_of({"type": "websocket.accept"}), scope={"type": "websocket"})
    assert sent == [{"type": "websocket.accept"}]


def test_compressed_answers_are_marked_or_refused():
    def zipped(data: bytes, encoding: bytes = b"gzip") -> list[dict]:
        return whole(data, headers=[*JSON, (b"Content-Encoding", encoding), (b"ETag", b"1")])

    sent = ask(app_of(*zipped(gzip.compress(V2))))
    assert (probabilities(sent) == guard_file_of().guard()(ANSWERS)).all()
    assert {name.lower() for name, _ in sent[0]["headers"]} == {b"content-type", b"content-length"}
    assert is_refused(ask(app_of(*zipped(V2))))
    assert is_refused(ask(app_of(*zipped(gzip.compress(V2)[:-9]))))
    assert is_refused(ask(app_of(*zipped(V2, b"br"))))


@pytest.mark.parametrize(
    "messages",
    [
        whole(b"{"),
        whole(V2.replace(b"[", b"[0.1, ")),
        whole(V2.replace(b"    6,\n", b"    5,\n")),
        whole(V2, headers=[*JSON, (b"Inference-Header-Content-Length", b"10")]),
        whole(
            V2,
            headers=[
                (b"content-type", b"application/octet-stream"),
                (b"inference-header-content-length", b"10"),
            ],
        ),
        [start(), {"type": "http.response.pathsend", "path": "answer.json"}, body(V2)],
    ],
)
def test_an_answer_that_cannot_be_marked_is_not_sent(messages, caplog):
    assert is_refused(ask(app_of(*messages)))
    assert "An answer was not sent" in caplog.text


def test_nothing_leaves_where_the_app_breaks_off():
    async def broken(scope, receive, send) -> None:
        await send(start())
        await send(body(V2[:50], more=True))
        raise RuntimeError

    with pytest.raises(RuntimeError):
        ask(broken)


def test_clients_have_marks_of_their_own():
    guards = Guards(guard_file_of(more={"clients": {"acme": b"drawn"}}))

    def client_of(scope) -> str:
        return dict(scope["headers"]).get(b"x-client", b"").decode()

    for name in ("acme", "stranger", ""):
        scope = {"type": "http", "headers": [(b"x-client", name.encode())]}
        sent = ask(app_of(*whole(V2)), scope=scope, guard_file=guards, client_of=client_of)
        assert (probabilities(sent) == guards(name)(ANSWERS)).all()


def test_formats_of_ones_own():
    file, inputs = guard_file_of(cells=4), inputs_of(6)
    mark = at(
        lambda answer: answer.get("scores"),
        lambda answer, marked: {**answer, "scores": marked},
        lambda request: request["images"],
    )
    answer = json.dumps({"scores": ANSWERS.tolist(), "took": 3}).encode()
    request = json.dumps({"images": inputs.tolist()}).encode()
    sent = ask(app_of(*whole(answer)), request=request, guard_file=file, mark=mark)
    assert json.loads(sent[1]["body"]) == {
        "scores": file.guard()(ANSWERS, inputs).tolist(),
        "took": 3,
    }
    untouched = whole(b'{"took" : 3}')
    assert ask(app_of(*untouched), guard_file=file, mark=mark) == untouched
    wrong = whole(b'{"scores": [["a", "b"]]}')
    assert is_refused(ask(app_of(*wrong), request=request, guard_file=file, mark=mark))


@pytest.fixture
def url():
    """A guarded app behind a real server."""
    app = GuardMiddleware(app_of(*whole(V2)), guard_file=guard_file_of())
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        server.should_exit = True
        thread.join()


def test_behind_a_real_server(url):
    with httpx.Client() as client:
        for _ in range(2):
            response = client.post(url, content=b"{}" * 100_000)
            found = np.array(response.json()["outputs"][0]["data"]).reshape(6, 5)
            assert (found == guard_file_of().guard()(ANSWERS)).all()
