import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from spellmark.model_files import onnx_check
from spellmark.model_files.errors import ModelFileError
from spellmark.model_files.onnx_check import OnnxSummary, Port, check_onnx
from spellmark.model_files.onnx_outline import looks_like_onnx


def model(nodes: int = 1, opset: int = 17) -> onnx.ModelProto:
    """y = x + w, `nodes` times in a row."""
    names = ["x", *(f"h{number}" for number in range(nodes - 1)), "y"]
    graph = helper.make_graph(
        [
            helper.make_node("Add", [names[i], "w"], [names[i + 1]], name=f"add{i}")
            for i in range(nodes)
        ],
        "adder",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", None, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", None, 4])],
        [numpy_helper.from_array(np.ones(4, np.float32), "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


@pytest.fixture
def write(tmp_path: Path):
    def write(contents: onnx.ModelProto | bytes) -> Path:
        # An extension that onnx.load would take as a hint to another format.
        path = tmp_path / "model.json"
        if isinstance(contents, onnx.ModelProto):
            contents = contents.SerializeToString()
        path.write_bytes(contents)
        return path

    return write


def refusal(path: Path) -> str:
    with pytest.raises(ModelFileError) as caught:
        check_onnx(path)
    assert caught.value.hint
    return caught.value.message


def test_it_tells_what_a_model_says_of_itself(write):
    sound = model()
    helper.set_model_props(sound, {"made by": "alice"})
    assert check_onnx(write(sound)) == OnnxSummary(
        inputs=(Port("x", "FLOAT", ("batch", None, 4)),),
        outputs=(Port("y", "FLOAT", ("batch", None, 4)),),
        opset={"": 17},
        metadata={"made by": "alice"},
    )


def test_it_refuses_what_the_onnx_checker_refuses(write):
    broken = model()
    broken.graph.node[0].op_type = "NoSuchOperator"
    assert "the ONNX checker says “No Op registered for NoSuchOperator" in refusal(write(broken))


def test_it_refuses_what_is_not_protobuf(write):
    assert "no readable ONNX model" in refusal(write(b"\x08\x0a\x3a\x05hello"))


def external(tensor: TensorProto) -> None:
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../../etc/passwd")


def test_it_refuses_external_data_in_an_initialiser(write):
    outside = model()
    external(outside.graph.initializer[0])
    assert "keeps tensors in other files" in refusal(write(outside))


def test_it_refuses_external_data_wherever_it_hides(write):
    places = []
    in_attribute = model()
    constant = helper.make_node("Constant", [], ["c"], value=TensorProto(data_type=1))
    external(constant.attribute[0].t)
    in_attribute.graph.node.append(constant)
    places.append(in_attribute)

    in_subgraph = model()
    branch = helper.make_graph([constant], "branch", [], [])
    in_subgraph.graph.node.append(
        helper.make_node("If", ["x"], ["z"], then_branch=branch, else_branch=branch)
    )
    places.append(in_subgraph)

    in_function = model()
    in_function.functions.add(name="f", domain="d").node.append(constant)
    places.append(in_function)

    in_sparse = model()
    external(in_sparse.graph.sparse_initializer.add().values)
    places.append(in_sparse)

    in_training = model()
    external(in_training.training_info.add().algorithm.initializer.add())
    places.append(in_training)

    for place in places:
        assert "keeps tensors in other files" in refusal(write(place))


def test_it_refuses_external_data_that_is_only_half_declared(write):
    outside = model()
    outside.graph.initializer[0].external_data.add(key="location", value="w.bin")
    assert "keeps tensors in other files" in refusal(write(outside))


def test_it_refuses_too_many_nodes(write):
    crowded = model()
    crowded.graph.node.extend([onnx.NodeProto()] * 100_000)
    assert "more than 100,000 nodes" in refusal(write(crowded))


def test_it_refuses_a_metadata_key_that_stands_twice(write):
    twice = model()
    for value in ("1", "2"):
        twice.metadata_props.add(key="k", value=value)
    assert "duplicate keys in metadata_props" in refusal(write(twice))


def test_it_refuses_a_name_that_is_not_utf8(write):
    contents = model().SerializeToString().replace(b"batch", b"bat\xffh")
    with pytest.raises(ModelFileError):
        check_onnx(write(contents))


def test_it_refuses_a_model_that_takes_too_long(write):
    with pytest.raises(ModelFileError, match="more memory or time than allowed"):
        check_onnx(write(model()), wall_seconds=0.001)


def test_it_refuses_a_model_that_takes_too_much_memory(write):
    # Two bytes in the file, a message object of some hundred bytes in memory, 30 million times.
    contents = model().SerializeToString() + b"\x42\x00" * 30_000_000
    assert "takes too much memory" in refusal(write(contents))


def test_the_child_limits_itself(write):
    # Asked of the process itself, for no file can prove that a limit is set.
    path = write(model())
    code = (
        "import resource, sys; from pathlib import Path;"
        "from spellmark.model_files.onnx_check import main;"
        "main(Path(sys.argv[1]));"
        "print();"
        "print(*(resource.getrlimit(k)[1] for k in (resource.RLIMIT_AS, resource.RLIMIT_CPU,"
        "resource.RLIMIT_FSIZE, resource.RLIMIT_CORE)))"
    )
    environment = {"PYTHONPATH": str(Path(onnx_check.__file__).parents[2])}
    output = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    memory, cpu, size, core = map(int, output.splitlines()[-1].split())
    assert memory == 2**30 + 5 * path.stat().st_size
    assert (cpu, size, core) == (60, 0, 0)


def test_the_child_knows_none_of_the_parents_secrets(write, monkeypatch):
    seen = {}

    def run(command, **options):
        seen.update(options["env"])
        return subprocess.CompletedProcess(command, 1, b'{"error": "e", "hint": "h"}', b"")

    monkeypatch.setenv("SECRET_KEY", "alice's")
    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(ModelFileError):
        check_onnx(write(model()))
    assert seen
    assert "alice's" not in seen.values()
    assert os.environ["SECRET_KEY"] == "alice's"


def test_it_says_when_the_check_itself_is_broken(write, monkeypatch):
    def run(command, **options):
        return subprocess.CompletedProcess(command, 1, b"", b"ModuleNotFoundError: onnx")

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(ModelFileError, match="could not be checked here") as caught:
        check_onnx(write(model()))
    assert "ModuleNotFoundError" in str(caught.value.__cause__)


def test_its_outline_is_recognised_without_reading_the_graph(write):
    path = write(model(nodes=50))
    with path.open("rb") as file:
        assert looks_like_onnx(file, path.stat().st_size)


@pytest.mark.parametrize("opset", [7, 13, 17])
def test_its_outline_ends_where_the_file_ends(write, opset: int):
    whole = model(opset=opset).SerializeToString()
    path = write(whole[: whole.index(b"adder")])
    with path.open("rb") as file, pytest.raises(ModelFileError, match="cut short: at least"):
        looks_like_onnx(file, path.stat().st_size)


@pytest.mark.parametrize(
    "contents",
    [
        b"",
        b"\x08",
        b"\x08\x0a",
        b"{}",
        b"hello",
        b"\xff" * 40,
        b"\x3a\x00",
        b"\x08\x0a\x3a\x00\x99",
    ],
)
def test_it_does_not_take_other_bytes_for_onnx(write, contents: bytes):
    path = write(contents)
    with path.open("rb") as file:
        assert not looks_like_onnx(file, len(contents))
