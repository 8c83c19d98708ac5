import numpy as np
import pytest

from spellmark.attacks.key_lock.ciphertext_only import (
    ciphertext_only,
    correlation,
    estimate,
    flip_mask,
    moments_about_grey,
)
from tests.spellmark.attacks.easy_locks import EasyLock, easy_lock


def _attack(lock: EasyLock) -> float:
    stolen, public = lock.key(lock.attacker.images[500:]), lock.attacker.images[:500]
    return ciphertext_only(
        lock.target, stolen, public, lock.attacker[:100], lock.test,
        generator=np.random.default_rng(0), starts=80,
    ).accuracy  # fmt: skip


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("moments", [correlation, moments_about_grey])
def test_the_flips_are_right_up_to_all_inverted(moments, seed):
    """Positions that share a brightness, as neighbours do, half of them inverted."""
    generator = np.random.default_rng(seed)
    samples = generator.normal(110, 50, (500, 1)) + generator.normal(0, 20, (500, 48))
    flipped = generator.permutation(48) < 24
    found = flip_mask(moments(np.where(flipped, 255 - samples, samples)))
    assert np.array_equal(found, flipped) or np.array_equal(found, ~flipped)


def test_brightness_tells_the_flips_from_their_inverse():
    lock = easy_lock("flip", "keyed")
    stolen, public = lock.key(lock.attacker.images[500:]), lock.attacker.images[:500]
    guess = estimate(
        lock.target, stolen, public, moments_about_grey, generator=np.random.default_rng(0)
    )
    assert np.array_equal(guess.transform().mask, lock.key.transforms[0].mask)


@pytest.mark.parametrize(
    ("steps", "labels", "keys"),
    [("shuffle", "plain", "shared"), ("scramble+shuffle+flip", "keyed", "block")],
)
def test_positions_and_blocks_are_found_from_how_they_correlate(steps, labels, keys):
    lock = easy_lock(steps, labels, keys)
    assert lock.wrong < lock.right - 0.3
    assert _attack(lock) > lock.right - 0.2
