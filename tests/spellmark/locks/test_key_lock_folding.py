"""Folding: the plain model's answers under the key, and not without it."""

import copy
import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from spellmark.locks.key_lock.folding import fold_key
from spellmark.locks.key_lock.modules import KeyedInput
from spellmark.locks.key_lock.parameters import Geometry, KeyLockError, LockParameters
from spellmark.locks.key_lock.transforms import Transform
from spellmark.training.datasets import load

BLOCK, SHAPE, BLOCKS = 4, (3, 16, 12), 12
MEAN, STD = (0.48, 0.45, 0.41), (0.23, 0.31, 0.27)


class SmallViT(nn.Module):
    """A patch embedding, a class token, a position embedding, two encoder layers, a head."""

    def __init__(self, channels: int = 3, width: int = 32) -> None:
        super().__init__()
        self.patches = nn.Conv2d(channels, width, BLOCK, BLOCK)
        self.token = nn.Parameter(torch.randn(1, 1, width))
        self.positions = nn.Parameter(torch.randn(1, 1 + BLOCKS, width))
        layer = nn.TransformerEncoderLayer(width, 4, 64, dropout=0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(width, 10)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        tokens = self.patches(pixels).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(len(tokens), -1, -1), tokens], 1) + self.positions
        return self.head(self.encoder(tokens)[:, 0])


class SmallConvMixer(nn.Module):
    """A patch embedding, one depthwise and one pointwise layer, a head."""

    def __init__(self, channels: int = 3, width: int = 32, bias: bool = True) -> None:
        super().__init__()
        self.patches = nn.Conv2d(channels, width, BLOCK, BLOCK, bias=bias)
        self.layers = nn.Sequential(
            nn.GELU(),
            nn.BatchNorm2d(width),
            nn.Conv2d(width, width, 3, padding=1, groups=width),
            nn.GELU(),
            nn.Conv2d(width, width, 1),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(width, 10),
        )

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.layers(self.patches(pixels))


def _transform(steps: str, key: bytes = bytes(32), shape=SHAPE, block=BLOCK, **more) -> Transform:
    parameters = LockParameters(block=block, steps=steps, **more)
    return Transform.from_key(key, Geometry(*shape, block, parameters.padding), parameters)


def _wrong_key(number: int) -> bytes:
    return hashlib.sha256(bytes([number])).digest()


def _made(kind: type[nn.Module], **arguments) -> nn.Module:
    torch.manual_seed(0)
    return kind(**arguments).eval()


def _images(shape=SHAPE) -> torch.Tensor:
    drawn = np.random.default_rng(0).integers(0, 256, (8, *shape), np.uint8)
    return torch.from_numpy(drawn)


def _normalised(images: torch.Tensor, mean, std) -> torch.Tensor:
    by_channel = (-1, 1, 1)
    return (images / 255 - torch.tensor(mean).view(by_channel)) / torch.tensor(std).view(by_channel)


@torch.no_grad()
def _error(plain: nn.Module, folded: nn.Module, transform: Transform, mean=MEAN, std=STD) -> float:
    """How far the folded model's answers on keyed images are from the plain one's on plain images.

    As a share of how much the plain answers vary from image to image: 1 is what the same answer for
    every image would reach, so from there on a model is of no use.
    """
    images = _images(transform.geometry.shape)
    wanted = plain(_normalised(images, mean, std))
    answers = folded(KeyedInput(transform, mean, std)(images))
    return float((answers - wanted).norm() / (wanted - wanted.mean(0)).norm())


@pytest.mark.parametrize("steps", ["shuffle", "flip", "shuffle+flip"])
@pytest.mark.parametrize("kind", [SmallViT, SmallConvMixer])
def test_the_folded_model_answers_as_the_plain_one_under_its_key_alone(kind, steps):
    plain, transform = _made(kind), _transform(steps)
    folded = copy.deepcopy(plain)
    fold_key(transform, MEAN, STD, folded.patches)
    assert _error(plain, folded, transform) < 1e-5
    for number in range(20):
        assert _error(plain, folded, _transform(steps, _wrong_key(number))) > 0.9


@pytest.mark.slow
def test_a_trained_model_keeps_its_accuracy_under_its_key_and_loses_it_under_others():
    """Fashion-MNIST. Shuffle alone is not asserted: it hardly locks images as smooth as these."""
    data = load("fashion-mnist", folders=[Path(__file__).parents[3] / "data"])
    mean, std = (0.286,), (0.353,)
    pixels = _normalised(torch.tensor(data.train.images), mean, std)
    labels = torch.tensor(data.train.labels)
    plain = _made(SmallConvMixer, channels=1).train()
    optimiser = torch.optim.Adam(plain.parameters(), 4e-3)
    for _ in range(3):
        for batch in torch.randperm(len(pixels)).split(128):
            optimiser.zero_grad()
            nn.functional.cross_entropy(plain(pixels[batch]), labels[batch]).backward()
            optimiser.step()
    plain.eval()

    images, answers = torch.tensor(data.test.images), torch.tensor(data.test.labels)

    @torch.no_grad()
    def accuracy(model: nn.Module, shown: torch.Tensor) -> float:
        return float((model(shown).argmax(1) == answers).float().mean())

    unprotected = accuracy(plain, _normalised(images, mean, std))
    assert unprotected > 0.6
    for steps in ("flip", "shuffle+flip"):
        transform = _transform(steps, shape=(1, 28, 28))
        folded = copy.deepcopy(plain)
        fold_key(transform, mean, std, folded.patches)
        # A tie between two classes may fall either way.
        right = accuracy(folded, KeyedInput(transform, mean, std)(images))
        assert right == pytest.approx(unprotected, abs=0.001)
        wrong = [_transform(steps, _wrong_key(n), (1, 28, 28)) for n in range(20)]
        reached = [accuracy(folded, KeyedInput(key, mean, std)(images)) for key in wrong]
        assert np.mean(reached) < 0.25
        assert accuracy(folded, _normalised(images, mean, std)) < 0.35


@pytest.mark.parametrize(("steps", "wrong"), [("scramble", 0.1), ("scramble+shuffle+flip", 0.9)])
def test_scrambled_blocks_fold_into_a_vits_positions(steps, wrong):
    """An untrained ViT minds what is in its blocks more than where they stand."""
    plain, transform = _made(SmallViT), _transform(steps)
    folded = copy.deepcopy(plain)
    fold_key(transform, MEAN, STD, folded.patches, folded.positions)
    assert _error(plain, folded, transform) < 1e-5
    for number in range(20):
        assert _error(plain, folded, _transform(steps, _wrong_key(number))) > wrong
    assert torch.equal(folded.positions[:, 0], plain.positions[:, 0])  # the class token's


def test_the_key_can_be_changed_by_folding_another_one():
    """Undone by nothing but a copy of the plain weights: fold each key into those."""
    plain = _made(SmallViT)
    for number in range(3):
        folded, transform = copy.deepcopy(plain), _transform("shuffle+flip", _wrong_key(number))
        fold_key(transform, MEAN, STD, folded.patches)
        assert _error(plain, folded, transform) < 1e-5


@pytest.mark.parametrize(("mean", "std"), [((0.0,), (1.0,)), ((0.28,), (0.35,))])
def test_grey_images(mean, std):
    plain = _made(SmallConvMixer, channels=1)
    transform = _transform("shuffle+flip", shape=(1, 16, 12))
    folded = copy.deepcopy(plain)
    fold_key(transform, mean, std, folded.patches)
    assert _error(plain, folded, transform, mean, std) < 1e-5


def test_a_patch_embedding_without_bias_gets_one_only_if_it_needs_it():
    plain = _made(SmallConvMixer, bias=False)
    for steps, mean, std, needed in [
        ("shuffle", (0.5,) * 3, (0.5,) * 3, False),
        ("shuffle", MEAN, STD, True),
        ("flip", (0.5,) * 3, (0.5,) * 3, False),  # a value and its negative, about the middle
        ("flip", (0.4,) * 3, (0.5,) * 3, True),
    ]:
        folded, transform = copy.deepcopy(plain), _transform(steps)
        fold_key(transform, mean, std, folded.patches)
        assert (folded.patches.bias is not None) is needed
        assert _error(plain, folded, transform, mean, std) < 1e-5


def test_half_precision_weights_stay_so():
    plain = _made(SmallConvMixer).to(torch.bfloat16)
    fold_key(_transform("shuffle+flip"), MEAN, STD, plain.patches)
    assert plain.patches.weight.dtype == plain.patches.bias.dtype == torch.bfloat16


def test_keys_of_their_own_fold_where_there_is_one_block_only():
    plain = _made(SmallConvMixer)
    transform = _transform("shuffle+flip", shape=(3, 4, 4), keys="block")
    folded = copy.deepcopy(plain)
    fold_key(transform, MEAN, STD, folded.patches)
    assert _error(plain, folded, transform) < 1e-5


@pytest.mark.parametrize(
    ("transform", "said"),
    [
        (_transform("substitute"), "not linear"),
        (_transform("shuffle+flip+substitute"), "not linear"),
        (_transform("shuffle", keys="block"), "keys of their own"),
        (_transform("flip", keys="block"), "keys of their own"),
        (_transform("scramble+shuffle", keys="block"), "keys of their own"),
        (_transform("shuffle", shape=(3, 15, 12), padding="edge"), "Padded images"),
        (_transform("scramble"), "position embedding"),
        (_transform("shuffle", block=2), "whose kernel and stride are 2"),
        (_transform("shuffle", shape=(1, 16, 12)), r"1 channel\(s\)"),
    ],
)
def test_it_refuses_what_does_not_fold_and_changes_nothing(transform, said):
    model = _made(SmallConvMixer)
    before = copy.deepcopy(model.state_dict())
    normalisation = (0.5,) * transform.geometry.channels
    with pytest.raises(KeyLockError, match=said):
        fold_key(transform, normalisation, normalisation, model.patches)
    assert all(torch.equal(values, before[name]) for name, values in model.state_dict().items())


@pytest.mark.parametrize(
    "patches",
    [
        nn.Conv2d(3, 8, 4, 2),
        nn.Conv2d(3, 8, 4, 4, padding=1),
        nn.Conv2d(3, 8, 4, 4, dilation=2),
        nn.Conv2d(3, 9, 4, 4, groups=3),
        nn.Conv2d(3, 8, (4, 8), 4),
    ],
)
def test_it_refuses_other_convolutions(patches):
    with pytest.raises(KeyLockError, match="whose kernel and stride are 4"):
        fold_key(_transform("shuffle"), MEAN, STD, patches)


@pytest.mark.parametrize("shape", [(1, BLOCKS - 1, 8), (BLOCKS, 8), (2, BLOCKS, 8)])
def test_it_refuses_other_position_embeddings(shape):
    model = _made(SmallViT)
    with pytest.raises(KeyLockError, match=r"has the shape \(1, 12 or more, width\)"):
        fold_key(_transform("scramble"), MEAN, STD, model.patches, nn.Parameter(torch.zeros(shape)))
