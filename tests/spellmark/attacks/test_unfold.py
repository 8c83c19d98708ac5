"""Who has the plain weights reads a folded key off; who has not, does not."""

import numpy as np
import pytest
import torch
from torch import nn

from spellmark.attacks.attack import AttackError
from spellmark.attacks.key_lock.unfold import recover_folded_blocks, recover_folded_key
from spellmark.locks.key_lock.folding import fold_key
from spellmark.locks.key_lock.parameters import Geometry, LockParameters
from spellmark.locks.key_lock.transforms import NO_TABLES, Transform, block_places

MEAN, STD = (0.48, 0.45, 0.41), (0.23, 0.31, 0.27)
GEOMETRY = Geometry(3, 16, 12, 4)


def _transform(steps: str) -> Transform:
    return Transform.from_key(
        bytes(range(32)), GEOMETRY, LockParameters(block=GEOMETRY.block, steps=steps)
    )


def _patches(seed: int = 0) -> nn.Conv2d:
    torch.manual_seed(seed)
    return nn.Conv2d(GEOMETRY.channels, 64, GEOMETRY.block, GEOMETRY.block)


def _thiefs(blocks: np.ndarray, order: np.ndarray, flipped: np.ndarray) -> Transform:
    """The transform that a thief makes of what he read."""
    places = block_places(GEOMETRY)
    index = np.empty(places.size, np.uint16)
    index[places] = places[blocks][:, order]
    mask = np.empty(places.size, np.uint8)
    mask[places] = flipped * np.uint8(255)
    return Transform(GEOMETRY, index, mask, None, NO_TABLES)


@pytest.mark.parametrize("steps", ["shuffle", "flip", "shuffle+flip", "scramble+shuffle+flip"])
def test_the_whole_key_is_read_off_the_weights(steps):
    transform, patches = _transform(steps), _patches()
    positions = nn.Parameter(torch.randn(1, 1 + GEOMETRY.blocks, 64))
    plain_weight, plain_positions = patches.weight.detach().clone(), positions.detach().clone()
    fold_key(transform, MEAN, STD, patches, positions)
    thiefs = _thiefs(
        recover_folded_blocks(plain_positions, positions, GEOMETRY.blocks),
        *recover_folded_key(plain_weight, patches.weight),
    )
    images = np.random.default_rng(0).integers(0, 256, (4, *GEOMETRY.shape), np.uint8)
    assert np.array_equal(thiefs(images), transform(images))


def test_noise_hides_the_key_only_when_it_drowns_the_weights():
    """Noise as large as the weights hides next to nothing; 10 times as large, nearly all."""
    transform, patches = _transform("shuffle+flip"), _patches()
    plain = patches.weight.detach().clone()
    fold_key(transform, MEAN, STD, patches)
    true = recover_folded_key(plain, patches.weight)
    noise = torch.randn_like(plain) * plain.std()
    shares = []
    for times in (0.5, 1, 10):
        order, flipped = recover_folded_key(plain, patches.weight + times * noise)
        shares.append(float(np.mean((order == true[0]) & (flipped == true[1]))))
    assert shares[0] == 1.0
    assert shares[1] > 0.9
    assert shares[2] < 0.5


def test_other_weights_tell_nothing():
    """A model trained on its own is no plain model of this one."""
    transform, patches = _transform("shuffle+flip"), _patches()
    plain = patches.weight.detach().clone()
    fold_key(transform, MEAN, STD, patches)
    true, _ = recover_folded_key(plain, patches.weight)
    order, _ = recover_folded_key(_patches(seed=1).weight, patches.weight)
    # One of 48 is expected to agree by chance.
    assert np.count_nonzero(order == true) < 8


def test_it_refuses_weights_of_two_models():
    with pytest.raises(AttackError, match="not those of one patch embedding"):
        recover_folded_key(torch.zeros(8, 3, 4, 4), torch.zeros(8, 1, 4, 4))
    with pytest.raises(AttackError, match="not those of one model"):
        recover_folded_blocks(torch.zeros(1, 5, 8), torch.zeros(1, 4, 8), 4)
