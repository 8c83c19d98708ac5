import numpy as np
import pytest

from spellmark.attacks.attack import AttackError
from spellmark.attacks.key_lock.known_plaintext import known_plaintext, recover
from spellmark.locks.key_lock.lock_key import LockKey
from spellmark.locks.key_lock.parameters import LockParameters
from tests.spellmark.attacks.easy_locks import easy_lock


def _scenes(count: int, seed: int) -> np.ndarray:
    """Smooth colours with noise, uint8 (count, 3, 16, 16): no two pixels are alike."""
    generator = np.random.default_rng(seed)
    slope = generator.uniform(-4, 4, (count, 3, 16, 1)).cumsum(2)
    across = generator.uniform(-4, 4, (count, 3, 1, 16)).cumsum(3)
    scene = generator.uniform(60, 190, (count, 3, 1, 1)) + slope + across
    return np.clip(scene + generator.normal(0, 6, (count, 3, 16, 16)), 0, 255).astype(np.uint8)


def _same_on_new_images(pairs: int, **parameters: str) -> float:
    """The share of new pixels that come out as under the key."""
    key = LockKey.derive(
        bytes(32), binding=b"", shape=(3, 16, 16), classes=10,
        parameters=LockParameters(block=4, **parameters),
    )  # fmt: skip
    plain, new = _scenes(pairs, seed=0), _scenes(50, seed=1)
    guess = recover(plain, key(plain), key.geometry, key.parameters)
    return float((guess.transform()(new) == key(new)).mean())


@pytest.mark.parametrize("steps", ["shuffle", "flip", "shuffle+flip", "scramble+shuffle+flip"])
def test_one_pair_gives_the_key(steps):
    assert _same_on_new_images(1, steps=steps) == 1


def test_a_few_pairs_give_a_key_for_each_block():
    assert _same_on_new_images(5, steps="scramble+shuffle+flip", keys="block") == 1


@pytest.mark.parametrize("tables", ["shared", "channel", "position"])
def test_tables_are_read_as_far_as_seen(tables):
    few, many = (
        _same_on_new_images(pairs, steps="scramble+shuffle+flip+substitute", tables=tables)
        for pairs in (10, 60)
    )
    assert 0.6 < few < many
    assert many > 0.95


def test_the_model_works_under_the_recovered_key():
    lock = easy_lock("shuffle", "keyed")
    plain = lock.attacker.images[:5]
    result = known_plaintext(lock.target, (plain, lock.key(plain)), lock.attacker[:200], lock.test)
    assert result.accuracy == lock.right
    assert result.details == {"score": 1.0, "pairs": 5}


def test_it_wants_pairs():
    lock = easy_lock("shuffle", "keyed")
    none = lock.attacker.images[:0]
    with pytest.raises(AttackError, match="no pairs"):
        recover(none, none, lock.key.geometry, lock.key.parameters)
