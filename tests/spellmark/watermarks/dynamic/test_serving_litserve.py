"""The guard on a real LitServe server, started as a person starts one."""

from concurrent.futures import ThreadPoolExecutor

import httpx
import litserve
import numpy as np
import pytest

from demo.served import served
from spellmark.watermarks.dynamic import DynamicMarkError
from spellmark.watermarks.dynamic.serving.litserve import guarded
from tests.spellmark.watermarks.dynamic.mark_samples import answers_of, guard_file_of, inputs_of

ANSWERS = answers_of(8)
SERVER = "tests.spellmark.watermarks.dynamic.lit_server"


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    folder = tmp_path_factory.mktemp("litserve")
    path = folder / "guard.json"
    guard_file_of(more={"clients": {"acme": b"drawn"}}).save(path)
    with served(SERVER, log=folder / "log", GUARD_FILE=str(path)) as url:
        yield url


def ask(url: str, probabilities, **more) -> httpx.Response:
    told = {"probabilities": np.asarray(probabilities).tolist(), **more}
    return httpx.post(url, json=told, timeout=60)


def test_answers_are_marked(url):
    expected = guard_file_of().guard()(ANSWERS)
    for path in ("single", "async"):
        told = ask(f"{url}/{path}", ANSWERS).json()["probabilities"]
        assert (np.array(told) == expected).all()
    assert (np.array(ask(f"{url}/plain", ANSWERS).json()["probabilities"]) == ANSWERS).all()


def test_answers_in_batches_are_marked_each_for_its_own_client(url):
    guards = {
        name: guard_file_of(more={"clients": {"acme": b"drawn"}}).guard(name)
        for name in ("", "acme")
    }
    names = ["", "acme"] * 4
    with ThreadPoolExecutor(8) as pool:
        told = list(
            pool.map(
                lambda row, name: ask(f"{url}/batched", row, client=name).json()["probabilities"],
                ANSWERS,
                names,
            )
        )
    for row, name, found in zip(ANSWERS, names, told, strict=True):
        assert found == guards[name](row).tolist()


def test_an_answer_that_cannot_be_marked_is_not_sent(url):
    for path in ("single", "batched", "async"):
        response = ask(f"{url}/{path}", [0.123, 0.5, 0, 0, 0])
        assert response.status_code == 500
        assert "0.123" not in response.text


class Cells(litserve.LitAPI):
    def decode_request(self, request: dict) -> np.ndarray:
        return np.array(request["images"])

    def predict(self, x):
        return x

    def encode_response(self, output):
        return output


def through(api, request, output, context=None):
    context = {} if context is None else context
    api.decode_request(request, context=context)
    return api.encode_response(output, context=context)


def test_a_guard_with_cells_looks_at_what_was_decoded(tmp_path):
    file, inputs = guard_file_of(cells=4), inputs_of(8)
    file.save(tmp_path / "guard.json")

    @guarded(tmp_path / "guard.json")
    class Own(Cells):
        pass

    api = Own()
    api.pre_setup()
    api.setup("cpu")
    request = {"images": inputs.tolist()}
    expected = file.guard()(ANSWERS, inputs)
    assert (through(api, request, ANSWERS) == expected).all()
    assert through(api, request, ANSWERS.tolist()) == expected.tolist()
    with pytest.raises(DynamicMarkError, match="looks at the inputs"):
        through(api, {"images": inputs[:3].tolist()}, ANSWERS)


def test_tensors_stay_tensors(tmp_path):
    torch = pytest.importorskip("torch")
    guard_file_of().save(tmp_path / "guard.json")

    @guarded(tmp_path / "guard.json")
    class Own(Cells):
        pass

    api = Own()
    api.setup("cpu")
    marked = through(api, {"images": []}, torch.tensor(ANSWERS, requires_grad=True))
    assert marked.dtype == torch.float64
    assert (marked.numpy() == guard_file_of().guard()(ANSWERS)).all()


def test_streams_are_refused(tmp_path):
    guard_file_of().save(tmp_path / "guard.json")
    with pytest.raises(DynamicMarkError, match="streams"):

        @guarded(tmp_path / "guard.json")
        class Stream(Cells):
            def encode_response(self, output):
                yield output

    @guarded(tmp_path / "guard.json")
    class Told(Cells):
        pass

    with pytest.raises(DynamicMarkError, match="streams"):
        Told(stream=True).setup("cpu")


def test_a_wrong_guard_file_stops_the_server(tmp_path):
    (tmp_path / "guard.json").write_text("{}")

    @guarded(tmp_path / "guard.json")
    class Own(Cells):
        pass

    with pytest.raises(Exception, match="not a Spellmark guard file"):
        Own().setup("cpu")


def test_it_stands_above_the_class_where_other_processes_see_it(tmp_path):
    with pytest.raises(DynamicMarkError, match="before its guard"):
        guarded(tmp_path / "guard.json")(Cells)
    assert Cells().encode_response([1]) == [1]
