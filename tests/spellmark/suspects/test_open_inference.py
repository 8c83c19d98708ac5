import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from ipaddress import ip_network
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from spellmark.suspects.base import Response, SuspectConfigError, SuspectError
from spellmark.suspects.egress import EgressPolicy
from spellmark.suspects.open_inference import OpenInference, OpenInferenceConfig
from tests.spellmark.suspects.local_servers import Answer, reply

LOCAL = EgressPolicy(allowed_networks=(ip_network("127.0.0.0/8"),), timeout_seconds=5)
IMAGES = np.array([[[[0, 1], [127, 255]]], [[[9, 10], [99, 100]]]], dtype=np.uint8)


def suspect(**settings: Any) -> OpenInference:
    given: dict[str, Any] = {"url": "http://127.0.0.1:9", "model": "copy", "classes": 3}
    policy = settings.pop("policy", LOCAL)
    return OpenInference(OpenInferenceConfig(**given | settings), policy)


READER = suspect()


def output(data: Any, shape: list[Any], datatype: Any = "FP32", **others: Any) -> dict[str, Any]:
    return {"name": "output", "shape": shape, "datatype": datatype, "data": data} | others


def body(*outputs: Any, **others: Any) -> bytes:
    return json.dumps({"model_name": "copy", "outputs": list(outputs), **others}).encode()


def read(answer: bytes, count: int = 2, status: int = 200, **settings: Any) -> Any:
    one = suspect(**settings) if settings else READER
    return one.read(Response(status, answer, 0.1), count)


def failure(answer: bytes, count: int = 2, status: int = 200, **settings: Any) -> SuspectError:
    with pytest.raises(SuspectError) as caught:
        read(answer, count, status, **settings)
    assert caught.value.hint
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 500
    return caught.value


# Asking


def test_its_request_is_pinned():
    request = suspect().prepare(IMAGES)
    assert request.body == (
        b'{"inputs":[{"name":"input","shape":[2,1,2,2],"datatype":"UINT8",'
        b'"data":[0,1,127,255,9,10,99,100]}]}'
    )
    assert request.sha256 == hashlib.sha256(request.body).hexdigest()


def test_its_request_can_name_an_output():
    request = suspect(input_name='"data":[]', output_name="probs").prepare(IMAGES[:1])
    assert json.loads(request.body) == {
        "inputs": [
            {
                "name": '"data":[]',
                "shape": [1, 1, 2, 2],
                "datatype": "UINT8",
                "data": [0, 1, 127, 255],
            }
        ],
        "outputs": [{"name": "probs"}],
    }


@given(
    images=hnp.arrays(np.uint8, hnp.array_shapes(min_dims=4, max_dims=4, max_side=5)),
    form=st.sampled_from([("UINT8", "0-255"), ("FP32", "0-255"), ("FP32", "0-1")]),
)
def test_every_pixel_arrives_as_it_was(images, form: tuple[str, str]):
    datatype, value_range = form
    request = suspect(datatype=datatype, value_range=value_range).prepare(images)
    [tensor] = json.loads(request.body)["inputs"]
    arrived = np.array(tensor["data"], np.float32).reshape(tensor["shape"])
    scale = np.float32(255 if value_range == "0-1" else 1)
    assert (arrived == images.astype(np.float32) / scale).all()
    assert all(type(x) is (int if datatype == "UINT8" else float) for x in tensor["data"])


def test_requests_larger_than_a_piece_are_whole():
    images = np.random.default_rng(1).integers(0, 256, (3, 3, 400, 401), dtype=np.uint8)
    [tensor] = json.loads(suspect().prepare(images).body)["inputs"]
    assert tensor["data"] == images.reshape(-1).tolist()


def test_views_of_the_same_images_make_the_same_request():
    images = np.arange(48, dtype=np.uint8).reshape(2, 3, 2, 4)
    turned = np.asfortranarray(images)
    assert suspect().prepare(turned) == suspect().prepare(images)


def test_preparing_a_thousand_images_is_quick():
    images = np.random.default_rng(1).integers(0, 256, (1000, 1, 28, 28), dtype=np.uint8)
    asked = suspect()
    seconds = []
    for _ in range(5):
        begin = time.perf_counter()
        request = asked.prepare(images)
        seconds.append(time.perf_counter() - begin)
    # An order of magnitude below what it does on an idle core, so that a busy one passes too.
    assert len(request.body) / min(seconds) > 20e6


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((0, 1, 2, 2), np.uint8),
        np.zeros((1, 2, 2), np.uint8),
        np.zeros((1, 1, 2, 2), np.float32),
    ],
)
def test_it_refuses_what_are_no_images(images):
    with pytest.raises(SuspectConfigError, match="cannot be asked about"):
        suspect().prepare(images)


def test_it_refuses_more_images_than_a_batch():
    with pytest.raises(SuspectConfigError, match="2 images are more than the batch size of 1"):
        suspect(batch_size=1).prepare(IMAGES)


# Describing


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"url": "http://127.0.0.1/?key=hunter2"}, "url"),
        ({"url": "http://127.0.0.1/#hunter2"}, "url"),
        ({"model": ""}, "model"),
        ({"model": ".."}, "model"),
        ({"classes": 1}, "classes"),
        ({"classes": 10.0}, "classes"),
        ({"batch_size": 0}, "batch_size"),
        ({"datatype": "UINT8", "value_range": "0-1"}, "datatype and value_range"),
        ({"datatype": "FP16"}, "datatype and value_range"),
        ({"headers": {"Host": "hunter2"}}, "headers"),
        ({"headers": {"X\r\nY": "hunter2"}}, "headers"),
        ({"headers": {"Authorization": "hunter2\r\nX: y"}}, "headers"),
        ({"headers": {"Authorization": "hunterß2"}}, "headers"),
    ],
)
def test_it_refuses_wrong_settings(changes: dict[str, Any], wrong: str):
    with pytest.raises(SuspectConfigError, match=f"The suspect's {wrong} must be") as caught:
        suspect(**changes)
    assert "hunter" not in caught.value.message


def test_it_refuses_a_url_that_may_not_be_asked():
    with pytest.raises(SuspectError) as caught:
        suspect(url="http://alice:secret@127.0.0.1/")
    assert caught.value.kind == "refused"


def test_its_description_holds_no_secret():
    asked = suspect(headers={"Authorization": "Bearer top-secret"})
    assert json.loads(json.dumps(asked.describe())) == {
        "kind": "endpoint",
        "protocol": "open-inference-v2",
        "url": "http://127.0.0.1:9",
        "model": "copy",
        "input": "input",
        "output": None,
        "datatype": "UINT8",
        "valueRange": "0-255",
        "classes": 3,
    }
    config = OpenInferenceConfig(
        url="http://127.0.0.1", model="m", classes=2, headers={"Authorization": "top-secret"}
    )
    assert "top-secret" not in repr(config)


# Answers


@pytest.mark.parametrize(
    "data", [[0.2, 0.7, 0.1, 0.4, 0.2, 0.4], [[0.2, 0.7, 0.1], [0.4, 0.2, 0.4]]]
)
def test_it_reads_probabilities_flat_or_nested(data):
    answer = read(body(output(data, [2, 3])))
    assert answer.level == "probabilities"
    assert answer.probabilities.tolist() == [[0.2, 0.7, 0.1], [0.4, 0.2, 0.4]]
    assert answer.probabilities.dtype == np.float64
    assert answer.labels.tolist() == [1, 0]
    assert answer.labels.dtype == np.int64
    assert answer.scores is None


@pytest.mark.parametrize(
    ("row", "level"),
    [
        ([0.5, 0.5004, 0], "probabilities"),
        ([1, 0, 0], "probabilities"),
        ([0.5, 0.502, 0], "scores"),
        ([1.5, -0.5, 0.0], "scores"),
        ([4.2, -1.0, 0.3], "scores"),
    ],
)
def test_it_tells_probabilities_from_scores(row: list[float], level: str):
    answer = read(body(output([*row, 0.1, 0.1, 0.8], [2, 3])))
    assert answer.level == level
    table = answer.probabilities if level == "probabilities" else answer.scores
    assert table.tolist() == [row, [0.1, 0.1, 0.8]]
    assert (answer.probabilities is None) == (level == "scores")
    assert answer.labels.tolist() == [int(np.argmax(row)), 2]


def test_whole_numbers_for_each_class_are_scores():
    answer = read(body(output([1, 0, 0, 0, 0, 1], [2, 3], "INT32")))
    assert answer.level == "scores"


@pytest.mark.parametrize(("data", "shape"), [([2, 0], [2]), ([2, 0], [2, 1]), ([[2], [0]], [2, 1])])
def test_it_reads_labels(data, shape: list[int]):
    answer = read(body(output(data, shape, "INT64")))
    assert answer.level == "labels"
    assert answer.labels.tolist() == [2, 0]
    assert answer.probabilities is None
    assert answer.scores is None


def test_it_reads_the_output_that_is_named():
    answer = body(
        output([9, 9], [2, 1], "INT32", name="other"), output([1, 2], [2], "INT32", name="labels")
    )
    assert read(answer, output_name="labels").labels.tolist() == [1, 2]
    assert "2 outputs to choose from (“other, labels”)" in failure(answer).message
    assert "0 outputs to choose from" in failure(answer, output_name="absent").message


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "it is not JSON"),
        (b"<html>Welcome</html>", "it is not JSON"),
        (b"\xff\xfe", "it is not UTF-8"),
        (b"[]", "it is not a JSON object"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"outputs":[],"outputs":[]}', "“outputs” stands twice"),
        (b"{}", "it has no list of outputs"),
        (b'{"outputs":{}}', "it has no list of outputs"),
        (b'{"outputs":[1]}', "it has no list of outputs"),
        (body(), "0 outputs to choose from"),
        (body(error="model is\x1b[2J gone"), "it says “model is [2J gone”"),
        (b'{"outputs":[{"shape":[2,3],"datatype":"FP32","data":[NaN,0,0,0,0,0]}]}', "NaN"),
        (b'{"outputs":[{"shape":[2],"datatype":"FP32","data":[-Infinity,0]}]}', "-Infinity"),
        (b'{"outputs":[{"shape":[1,3],"datatype":"FP32","data":[1e999,0,0]}]}', "not of shape"),
        (body(output([1.0] * 6, [2, 3]) | {"data": [10**400] * 6}), "not finite"),
        (
            b'{"outputs":[{"shape":[2,3],"datatype":"FP32","data":[1e999,0,0,0,0,0]}]}',
            "not finite",
        ),
        (body(output([0.5] * 4, [2, 2])), "FP32 of shape [2, 2], not of shape [2, 3]"),
        (body(output([0.2] * 9, [3, 3])), "FP32 of shape [3, 3], not of shape [2, 3]"),
        (body(output([0.2] * 6, [6])), "FP32 of shape [6]"),
        (body(output([0.2] * 6, [3, 2])), "FP32 of shape [3, 2]"),
        (body(output([1.0, 2.0], [2])), "FP32 of shape [2]"),
        (body(output([0.2] * 5, [2, 3])), "it has 5 numbers for the shape [2, 3]"),
        (body(output([[0.2] * 3], [2, 3])), "it has 3 numbers for the shape [2, 3]"),
        (body(output([[0.2] * 3, [0.2] * 2], [2, 3])), "it has 2 numbers"),
        (body(output([[0.2] * 3, 1, 1, 1, 1, 1], [2, 3])), "not all numbers"),
        (body(output([True] * 6, [2, 3])), "not all numbers"),
        (body(output(["1"] * 6, [2, 3])), "not all numbers"),
        (body(output([None] * 6, [2, 3])), "not all numbers"),
        (body(output([1.0, 2.0], [2], "INT64")), "not all numbers of the datatype INT64"),
        (body(output([0, 3], [2], "INT64")), "labels outside 0 to 2"),
        (body(output([0, -1], [2], "INT64")), "labels outside 0 to 2"),
        (body(output([0, 10**400], [2], "INT64")), "not finite"),
        (body(output("0.2", [2, 3])), "no list of data"),
        (body(output([], [])), "FP32 of shape []"),
        (body(output([[1]], [])), "FP32 of shape []"),
        (body(output([0.2] * 6, [2.0, 3])), "no shape of whole numbers"),
        (body(output([0.2] * 6, [True, 3])), "no shape of whole numbers"),
        (body(output([0.2] * 6, "2,3")), "no shape of whole numbers"),  # type: ignore[arg-type]
        (body(output(["0.5:1"], [1], "BYTES")), "the datatype “BYTES”, not numbers"),
        (body(output([0.2] * 6, [2, 3], None)), "the datatype “None”"),
        (body(output([0.2] * 6, [2, 3], ["FP32"])), "the datatype"),
        (body(output([[]] * 3_000_000, [2, 3])), "more than"),
    ],
)
def test_it_refuses_a_bad_answer(answer: bytes, reason: str):
    error = failure(answer)
    assert error.kind == "bad-answer"
    assert reason in error.message


@given(st.binary(max_size=80))
@settings(max_examples=50)
def test_any_bytes_are_refused_politely(answer: bytes):
    assert failure(answer).kind == "bad-answer"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "shape", "datatype", "data"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(
    shape=st.sampled_from([[2, 3], [2], [2, 1], [], [6]]) | JSON,
    datatype=st.sampled_from(["FP32", "INT64", "BYTES"]) | JSON,
    data=st.lists(st.integers(-1, 3) | st.floats(), max_size=6) | JSON,
)
@settings(max_examples=300, deadline=None)
def test_any_output_is_an_answer_or_refused(shape, datatype, data):
    try:
        answer = read(body({"shape": shape, "datatype": datatype, "data": data}))
    except SuspectError as error:
        assert error.kind == "bad-answer"
    else:
        assert answer.labels.shape == (2,)
        assert ((answer.labels >= 0) & (answer.labels < 3)).all()


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (500, "server-error"),
        (503, "server-error"),
        (429, "server-error"),
        (400, "refused"),
        (401, "refused"),
        (404, "refused"),
        (302, "refused"),
        (204, "bad-answer"),
    ],
)
def test_its_kind_of_failure_follows_the_status(status: int, kind: str):
    error = failure(b'{"error":"no\\u0000 \x00\x1b[31m model' + b"!" * 5000, status=status)
    assert error.kind == kind
    assert f"HTTP status {status}: “" in error.message


def test_a_failure_without_words_has_no_quotation():
    assert failure(b"", status=500).message == "The suspect answered with HTTP status 500."


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"you sent Authorization: Bearer top-secret", 403),
        (b"token top-secret is expired", 401),
        (b'{"error":"top-secret"}', 200),
        (body(output([1], [1], "top-secret")), 200),
        (body(output([1], [1], name="top-secret"), output([1], [1])), 200),
        (b'{"top-secret":1,"top-secret":2}', 200),
    ],
)
def test_its_messages_hide_secrets_that_the_suspect_echoes(answer: bytes, status: int):
    headers = {"Authorization": "Bearer top-secret"}
    error = failure(answer, status=status, headers=headers)
    assert "top-secret" not in str(error)
    assert "[hidden]" in error.message


# A real server


@pytest.fixture
def ask(serve) -> Iterator[Callable[..., Any]]:
    """Ask a server that answers so about IMAGES, and read what it says."""
    asked = []

    def ask(answer: Answer, path: str = "", **settings: Any) -> Any:
        server = serve(answer)
        ask.server = server
        one = suspect(url=server.url + path, **settings)
        asked.append(one)
        return one.read(one.send(one.prepare(IMAGES)), len(IMAGES))

    yield ask
    for one in asked:
        one.close()


def test_it_asks_a_server(ask):
    answer = ask(
        reply(body=body(output([0.2, 0.7, 0.1, 0.4, 0.2, 0.4], [2, 3]))),
        path="/prefix/",
        model="a b/c",
        headers={"Authorization": "Bearer top-secret"},
    )
    assert answer.labels.tolist() == [1, 0]
    [received] = ask.server.received
    assert received.path == "/prefix/v2/models/a%20b%2Fc/infer"
    assert received.body == suspect().prepare(IMAGES).body
    assert received.headers["Content-Type"] == "application/json"
    assert received.headers["Authorization"] == "Bearer top-secret"


def test_it_tells_how_a_server_answered(serve):
    server = serve(reply(418, b"teapot"))
    with closing(suspect(url=server.url)) as asked:
        response = asked.send(asked.prepare(IMAGES))
    assert (response.status, response.body) == (418, b"teapot")
    assert 0 < response.seconds < 5
    assert response.tls_certificate_sha256 is None


def test_it_asks_once_even_if_the_server_fails(ask):
    with pytest.raises(SuspectError) as caught:
        ask(reply(500, b'{"error":"out of memory"}'))
    assert caught.value.kind == "server-error"
    assert "out of memory" in caught.value.message
    assert len(ask.server.received) == 1


def hang_up(handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{")
    handler.close_connection = True


def test_it_asks_once_even_if_the_server_hangs_up(ask):
    with pytest.raises(SuspectError) as caught:
        ask(hang_up)
    assert caught.value.kind == "unreachable"
    assert len(ask.server.received) == 1


def test_it_gives_up_on_a_server_that_hangs(ask, stopped: threading.Event):
    hasty = EgressPolicy(LOCAL.allowed_networks, timeout_seconds=0.3)
    with pytest.raises(SuspectError) as caught:
        ask(lambda _: stopped.wait() and None, policy=hasty)
    assert caught.value.kind == "unreachable"
    assert len(ask.server.received) == 1


def test_it_does_not_follow_a_server_to_a_private_address(ask, serve):
    internal = serve(reply(body=body(output([0, 1], [2], "INT64"))))
    with pytest.raises(SuspectError) as caught:
        ask(reply(307, Location=internal.url))
    assert caught.value.kind == "refused"
    assert "Redirects are not followed" in caught.value.hint
    assert internal.received == []


def test_it_refuses_a_huge_answer(ask):
    small = EgressPolicy(LOCAL.allowed_networks, max_response_bytes=10_000)
    with pytest.raises(SuspectError) as caught:
        ask(reply(body=b" " * 10_001), policy=small)
    assert caught.value.kind == "bad-answer"


def test_it_obeys_the_policy(serve):
    server = serve(reply())
    with (
        closing(suspect(url=server.url, policy=EgressPolicy())) as asked,
        pytest.raises(SuspectError) as caught,
    ):
        asked.send(asked.prepare(IMAGES))
    assert caught.value.kind == "refused"
    assert server.received == []
