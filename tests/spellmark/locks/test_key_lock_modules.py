"""The module forms: the kernel's bytes on every path, and the key in no file."""

import copy
import io
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from spellmark.locks.key_lock.modules import KeyedInput, KeyedTransform
from spellmark.locks.key_lock.parameters import STEPS, Geometry, KeyLockError, LockParameters
from spellmark.locks.key_lock.transforms import Transform
from spellmark.model_files.card import ModelCard
from spellmark.training.inference import to_input

ALL = "+".join(STEPS)
COMBINATIONS = [
    "+".join(step for number, step in enumerate(STEPS) if chosen >> number & 1)
    for chosen in range(1, 16)
]


def _transform(steps: str = ALL, shape=(3, 8, 12), key: bytes = bytes(32), **more) -> Transform:
    parameters = LockParameters(block=4, steps=steps, **more)
    return Transform.from_key(key, Geometry(*shape, 4, parameters.padding), parameters)


def _images(shape=(3, 8, 12), count: int = 5) -> torch.Tensor:
    drawn = np.random.default_rng(0).integers(0, 256, (count, *shape), np.uint8)
    return torch.from_numpy(drawn)


@pytest.mark.parametrize("keys", ["shared", "block"])
@pytest.mark.parametrize("tables", ["shared", "channel", "position"])
@pytest.mark.parametrize("steps", COMBINATIONS)
def test_both_paths_give_the_kernels_bytes(steps, tables, keys):
    transform, images = _transform(steps, tables=tables, keys=keys), _images()
    module = KeyedTransform(transform)
    wanted = transform(images.numpy())
    assert np.array_equal(module(images).numpy(), wanted)
    assert np.array_equal(module._by_tensors(images).numpy(), wanted)


@pytest.mark.parametrize("steps", ["shuffle", "flip", ALL])
def test_both_paths_pad(steps):
    transform = _transform(steps, (1, 7, 9), padding="edge")
    images = _images((1, 7, 9))
    module = KeyedTransform(transform)
    wanted = transform(images.numpy())
    assert wanted.shape == (5, 1, 8, 12)
    assert np.array_equal(module(images).numpy(), wanted)
    assert np.array_equal(module._by_tensors(images).numpy(), wanted)


def test_strided_and_empty_batches():
    transform = _transform()
    module = KeyedTransform(transform)
    last = _images().to(memory_format=torch.channels_last)
    assert np.array_equal(module(last).numpy(), transform(last.contiguous().numpy()))
    assert module(_images()[:0]).shape == module._by_tensors(_images()[:0]).shape == (0, 3, 8, 12)


def test_a_batch_comes_back_as_its_own_kind():
    transform, images = _transform(), _images()
    module = KeyedTransform(transform)
    wanted = transform(images.numpy())
    from_numpy, from_torch = module.transform_batch(images.numpy()), module.transform_batch(images)
    assert isinstance(from_numpy, np.ndarray) and np.array_equal(from_numpy, wanted)
    assert isinstance(from_torch, torch.Tensor) and np.array_equal(from_torch.numpy(), wanted)


def test_it_moves_to_another_device():
    module = KeyedTransform(_transform()).to("meta")
    assert {buffer.device.type for buffer in module.buffers()} == {"meta"}
    keyed = module(_images().to("meta"))
    assert (keyed.device.type, keyed.dtype, keyed.shape) == ("meta", torch.uint8, (5, 3, 8, 12))


def test_a_cast_of_the_model_leaves_the_key_alone():
    transform, images = _transform(), _images()
    module = KeyedTransform(transform).half()
    assert np.array_equal(module._by_tensors(images).numpy(), transform(images.numpy()))


def test_it_compiles_without_a_graph_break():
    transform, images = _transform(), _images()
    compiled = torch.compile(KeyedTransform(transform), backend="eager", fullgraph=True)
    assert np.array_equal(compiled(images).numpy(), transform(images.numpy()))


@pytest.mark.parametrize(
    "images",
    [torch.zeros(2, 3, 8, 12), _images((3, 12, 8)), _images()[0], _images((1, 8, 12))],
    ids=["floats", "other size", "no batch", "other channels"],
)
def test_it_refuses_other_images(images):
    with pytest.raises(KeyLockError, match=r"uint8 images of shape \(n, 3, 8, 12\)"):
        KeyedTransform(_transform())(images)


MODULES = {
    "transform": lambda: KeyedTransform(_transform()),
    "input": lambda: KeyedInput(_transform(), (0.5,) * 3, (0.2,) * 3),
}
modules = pytest.mark.parametrize("make", MODULES.values(), ids=MODULES)


@modules
def test_the_key_is_in_no_state_dict(make):
    network = nn.Sequential(make(), nn.Flatten(), nn.Linear(288, 2))
    assert list(network.state_dict()) == ["2.weight", "2.bias"]
    assert "3×8×12, blocks of 4" in repr(network)


@modules
def test_it_is_not_saved(make):
    network = nn.Sequential(make(), nn.Flatten())
    for save in (lambda: torch.save(network, io.BytesIO()), lambda: pickle.dumps(network)):
        with pytest.raises(KeyLockError, match="would hold the key"):
            save()


@modules
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
def test_no_graph_with_the_key_is_exported(make):
    module, images = make(), _images()
    exports = [
        lambda: torch.jit.trace(module, images),
        lambda: torch.onnx.export(module, (images,), io.BytesIO(), dynamo=False),
        lambda: torch.export.export(module, (images,)),
    ]
    for export in exports:
        with pytest.raises(KeyLockError, match="would hold the key"):
            export()


@modules
def test_a_copy_in_the_process_is_free(make):
    module, images = make(), _images()
    twin = copy.deepcopy(nn.Sequential(module).eval())
    assert torch.equal(twin(images), module(images))
    assert not twin.training
    assert not {id(b) for b in twin.buffers()} & {id(b) for b in module.buffers()}


def _keyed_in_a_worker(module: KeyedTransform, images: np.ndarray, queue) -> None:
    queue.put(module.transform_batch(images))


@pytest.mark.slow
def test_it_goes_to_a_process_that_is_spawned():
    context = torch.multiprocessing.get_context("spawn")
    transform, images = _transform(), _images().numpy()
    queue = context.SimpleQueue()
    process = context.Process(
        target=_keyed_in_a_worker, args=(KeyedTransform(transform), images, queue)
    )
    process.start()
    keyed = queue.get()
    process.join(60)
    assert np.array_equal(keyed, transform(images))


def test_a_list_is_no_batch():
    with pytest.raises(KeyLockError, match="not on a list"):
        KeyedTransform(_transform()).transform_batch([_images()])


def test_keyed_input_is_the_transform_then_the_librarys_normalisation():
    mean, std = (0.1, 0.5, 0.9), (0.2, 0.3, 0.4)
    card = ModelCard(
        architecture="small-cnn", classes=2, channels=3, height=8, width=12, mean=mean, std=std
    )
    transform, images = _transform(), _images()
    pixels = KeyedInput(transform, mean, std)(images)
    assert pixels.dtype == torch.float32
    assert torch.equal(pixels, to_input(transform(images.numpy()), card).cpu())


@pytest.mark.parametrize(
    ("mean", "std"), [((0.5,), (0.5,)), ((0.5,) * 3, (0.5,)), ((0.5,) * 3, (0.5, 0.0, 0.5))]
)
def test_keyed_input_refuses_a_wrong_normalisation(mean, std):
    with pytest.raises(KeyLockError, match=r"3 mean\(s\) and 3 deviation\(s\) above 0"):
        KeyedInput(_transform(), mean, std)
