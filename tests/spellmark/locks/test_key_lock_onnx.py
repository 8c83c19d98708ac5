"""The ONNX form: the kernel's bytes when the key is fed, and no key in the file."""

import warnings

import numpy as np
import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator
from torch import nn

from spellmark.locks.key_lock.onnx_export import IMAGES, export_onnx, key_inputs
from spellmark.locks.key_lock.parameters import STEPS, Geometry, KeyLockError, LockParameters
from spellmark.locks.key_lock.transforms import Transform
from spellmark.model_files.card import ModelCard
from spellmark.training.inference import to_input

ALL = "+".join(STEPS)
COMBINATIONS = [
    "+".join(step for number, step in enumerate(STEPS) if chosen >> number & 1)
    for chosen in range(1, 16)
]
KINDS = [
    {"tables": tables, "keys": keys}
    for tables in ("shared", "channel", "position")
    for keys in ("shared", "block")
]
MEAN, STD = (0.1, 0.5, 0.9), (0.2, 0.3, 0.4)


def _transform(steps: str = ALL, shape=(3, 8, 12), key: bytes = bytes(32), **more) -> Transform:
    parameters = LockParameters(block=4, steps=steps, **more)
    return Transform.from_key(key, Geometry(*shape, 4, parameters.padding), parameters)


def _images(shape=(3, 8, 12), count: int = 5) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, *shape), np.uint8)


def _reference(path, feeds):
    return ReferenceEvaluator(str(path)).run(None, feeds)


def _runtime(path, feeds):
    onnxruntime = pytest.importorskip("onnxruntime")
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, feeds)


runners = pytest.mark.parametrize("run", [_reference, _runtime], ids=["reference", "onnxruntime"])


@runners
@pytest.mark.parametrize("steps", COMBINATIONS)
def test_the_graph_gives_the_kernels_bytes(tmp_path, run, steps):
    images = _images()
    for kind in KINDS:
        transform = _transform(steps, **kind)
        export_onnx(transform, tmp_path / "lock.onnx")
        (keyed,) = run(tmp_path / "lock.onnx", {IMAGES: images, **key_inputs(transform)})
        assert keyed.dtype == np.uint8
        assert np.array_equal(keyed, transform(images))


@runners
@pytest.mark.parametrize("steps", ["flip", ALL])
def test_the_graph_pads(tmp_path, run, steps):
    images, transform = _images((1, 7, 9)), _transform(steps, (1, 7, 9), padding="edge")
    export_onnx(transform, tmp_path / "lock.onnx")
    (keyed,) = run(tmp_path / "lock.onnx", {IMAGES: images, **key_inputs(transform)})
    assert keyed.shape == (5, 1, 8, 12)
    assert np.array_equal(keyed, transform(images))


@runners
def test_the_graph_normalises_as_the_library_does(tmp_path, run):
    images, transform = _images(), _transform()
    card = ModelCard(
        architecture="small-cnn", classes=2, channels=3, height=8, width=12, mean=MEAN, std=STD
    )
    export_onnx(transform, tmp_path / "lock.onnx", mean=MEAN, std=STD)
    (pixels,) = run(tmp_path / "lock.onnx", {IMAGES: images, **key_inputs(transform)})
    assert np.array_equal(pixels, to_input(transform(images), card).cpu().numpy())


@runners
def test_another_key_works_in_the_same_file(tmp_path, run):
    images, other = _images(), _transform(key=bytes(range(32)))
    export_onnx(_transform(), tmp_path / "lock.onnx")
    (keyed,) = run(tmp_path / "lock.onnx", {IMAGES: images, **key_inputs(other)})
    assert np.array_equal(keyed, other(images))


@pytest.fixture(params=[17, 18, 20])
def network_file(request, tmp_path):
    """A small network, and its ONNX file, in an older, the lock's, and a newer opset."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(240, 5)).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            network,
            (torch.zeros(1, 3, 8, 12),),
            tmp_path / "network.onnx",
            dynamo=False,
            opset_version=request.param,
            input_names=["images"],
            dynamic_axes={"images": {0: "n"}},
        )
    return network, tmp_path / "network.onnx"


@runners
def test_it_stands_before_a_network(tmp_path, run, network_file):
    network, plain = network_file
    images, transform = _images(), _transform()
    export_onnx(transform, tmp_path / "locked.onnx", mean=MEAN, std=STD, model=plain)
    (answers,) = run(tmp_path / "locked.onnx", {IMAGES: images, **key_inputs(transform)})
    card = ModelCard(
        architecture="small-cnn", classes=5, channels=3, height=8, width=12, mean=MEAN, std=STD
    )
    with torch.inference_mode():
        wanted = network(to_input(transform(images), card).cpu()).numpy()
    assert np.allclose(answers, wanted, atol=1e-5)
    inputs = {port.name for port in onnx.load(tmp_path / "locked.onnx").graph.input}
    assert inputs == {IMAGES, *key_inputs(transform)}


@pytest.mark.parametrize("before_a_network", [False, True])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: "-".join(kind.values()))
def test_the_file_says_nothing_of_the_key(tmp_path, kind, before_a_network):
    """Two keys, one file: what is the same for all keys tells nothing of any."""
    model = _identity(tmp_path, onnx.TensorProto.UINT8) if before_a_network else None
    files = []
    for key in (bytes(32), bytes(range(32))):
        export_onnx(_transform(key=key, **kind), tmp_path / "lock.onnx", model=model)
        files.append((tmp_path / "lock.onnx").read_bytes())
    assert files[0] == files[1]


def test_a_key_that_moves_nothing_gives_the_same_file(tmp_path):
    """One in 24 orders of the values of a 2×2 block leaves them where they are."""
    parameters, files = LockParameters(block=2, steps="shuffle"), {}
    for number in range(200):
        transform = Transform.from_key(number.to_bytes(32, "big"), Geometry(1, 2, 2, 2), parameters)
        moves = not np.array_equal(transform.index, np.arange(4))
        export_onnx(transform, tmp_path / "lock.onnx")
        files[moves] = (tmp_path / "lock.onnx").read_bytes()
        if len(files) == 2:
            break
    assert files[True] == files[False]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: "-".join(kind.values()))
def test_no_key_material_stands_in_the_file(tmp_path, kind):
    transform = _transform(**kind)
    export_onnx(transform, tmp_path / "lock.onnx", mean=MEAN, std=STD)
    file = (tmp_path / "lock.onnx").read_bytes()
    for name, values in _material(transform).items():
        for encoded in _encodings(values):
            assert encoded not in file, name
    stored = {tensor.name for tensor in onnx.load(tmp_path / "lock.onnx").graph.initializer}
    assert stored == {"lock_keyed_shape", "lock_white", "lock_mean", "lock_std"}


def test_the_search_would_find_it(tmp_path):
    """The search above, on a file that does publish its key."""
    transform = _transform()
    path = tmp_path / "lock.onnx"
    for name, values in _material(transform).items():
        for stored in (np.asarray(values), np.asarray(values).astype(np.int64)):
            export_onnx(transform, path)
            model = onnx.load(path)
            model.graph.initializer.append(onnx.numpy_helper.from_array(stored, "baked"))
            onnx.save(model, path)
            assert any(encoded in path.read_bytes() for encoded in _encodings(values)), name


def _material(transform: Transform) -> dict[str, np.ndarray]:
    """Runs of eight values: enough of the key to know it by, too many to occur by chance."""
    parts = {
        "index": transform.index[:8],
        "mask": transform.mask[:8],
        "which": transform.which[:8],
        "last index": transform.index[-8:],
        "last mask": transform.mask[-8:],
    }
    tables = {f"table {number}": row[:8] for number, row in enumerate(transform.tables) if number}
    return parts | tables


def _encodings(values: np.ndarray) -> list[bytes]:
    """As raw tensors of any type, and as protobuf's variable-length integers."""
    types = (np.uint8, np.int8, np.uint16, np.int32, np.int64, np.float32, np.float64)
    raw = [values.astype(kind).tobytes() for kind in types if kind != np.uint8 or max(values) < 256]
    packed = onnx.TensorProto(int64_data=[int(value) for value in values])
    return [*raw, packed.SerializeToString()[2:]]


def _identity(folder, kind: int, inputs: int = 1):
    """A network that gives back what it gets."""
    shape = ["n", 3, 8, 12]
    ports = [onnx.helper.make_tensor_value_info(f"x{i}", kind, shape) for i in range(inputs)]
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["x0"], ["y"])],
        "identity",
        ports,
        [onnx.helper.make_tensor_value_info("y", kind, shape)],
    )
    path = folder / "identity.onnx"
    opset = [onnx.helper.make_opsetid("", 18)]
    onnx.save(onnx.helper.make_model(graph, ir_version=8, opset_imports=opset), path)
    return path


@runners
def test_it_stands_before_a_network_that_takes_bytes(tmp_path, run):
    images, transform = _images(), _transform()
    model = _identity(tmp_path, onnx.TensorProto.UINT8)
    export_onnx(transform, tmp_path / "locked.onnx", model=model)
    (keyed,) = run(tmp_path / "locked.onnx", {IMAGES: images, **key_inputs(transform)})
    assert np.array_equal(keyed, transform(images))


def test_it_refuses_what_does_not_fit(tmp_path):
    transform, path = _transform(), tmp_path / "locked.onnx"
    floats = _identity(tmp_path, onnx.TensorProto.FLOAT)
    with pytest.raises(KeyLockError, match="takes float images, and the lock gives uint8"):
        export_onnx(transform, path, model=floats)
    two = _identity(tmp_path, onnx.TensorProto.UINT8, inputs=2)
    with pytest.raises(KeyLockError, match="has 2 inputs"):
        export_onnx(transform, path, model=two)
    with pytest.raises(KeyLockError, match=r"3 mean\(s\)"):
        export_onnx(transform, path, mean=MEAN)
    for content in (b"", b"no network"):
        (tmp_path / "broken.onnx").write_bytes(content)
        with pytest.raises(KeyLockError, match="cannot be read as ONNX"):
            export_onnx(transform, path, model=tmp_path / "broken.onnx")
    with pytest.raises(KeyLockError, match="cannot be read as ONNX"):
        export_onnx(transform, path, model=tmp_path / "missing.onnx")
    assert not path.exists()
