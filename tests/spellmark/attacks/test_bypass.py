import numpy as np
import pytest
import torch

from spellmark.attacks.key_lock import bypass
from spellmark.attacks.key_lock.bypass import BlockMap, PixelMap, block_bypass, pixel_bypass
from spellmark.locks.key_lock.parameters import Geometry
from tests.spellmark.attacks.easy_locks import CHANCE, easy_lock

GEOMETRY = Geometry(3, 8, 12, 4)


@pytest.mark.parametrize("most_weights", [0, 10**6])
@pytest.mark.parametrize("per_block", [False, True])
def test_a_bypass_begins_as_the_identity(monkeypatch, per_block, most_weights):
    monkeypatch.setattr(bypass, "MOST_WEIGHTS", most_weights)
    pixels = torch.rand(2, 3, 8, 12)
    front = BlockMap(GEOMETRY, per_block=per_block, generator=np.random.default_rng(0))
    assert torch.equal(front(pixels), pixels)
    assert torch.equal(PixelMap(GEOMETRY.keyed_shape)(pixels), pixels)


def test_a_block_map_can_be_any_shuffle():
    lock = easy_lock("shuffle")
    order = torch.from_numpy(lock.key.transforms[0].index.astype(np.int64))
    pixels = torch.rand(2, 1, 8, 8)
    front = BlockMap(lock.key.geometry, per_block=False, generator=np.random.default_rng(0))
    wanted = pixels.flatten(1)[:, order].view_as(pixels)
    optimiser = torch.optim.LBFGS(front.parameters(), max_iter=200)

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = ((front(pixels) - wanted) ** 2).sum()
        loss.backward()
        return loss

    optimiser.step(closure)
    assert float(((front(pixels) - wanted) ** 2).sum().detach()) < 1e-3


@pytest.mark.slow
def test_a_block_bypass_does_without_the_key():
    lock = easy_lock("shuffle")
    result = block_bypass(
        lock.target, lock.attacker[:200], lock.test, generator=np.random.default_rng(0), steps=300
    )
    assert result.accuracy > lock.wrong + 0.2
    assert result.details == {"weights": 16 * 16 + 16}


@pytest.mark.slow
def test_a_pixel_bypass_undoes_flips():
    lock = easy_lock("flip", "keyed")
    result = pixel_bypass(
        lock.target, lock.attacker[:200], lock.test, generator=np.random.default_rng(0), steps=300
    )
    assert result.accuracy > 3 * CHANCE
    assert result.details == {"weights": 2 * 64}
