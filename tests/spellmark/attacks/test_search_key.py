import numpy as np
import pytest

from spellmark.attacks.attack import AttackError
from spellmark.attacks.key_lock.search_key import (
    random_keys,
    swaps_by_accuracy,
    swaps_by_cross_entropy,
)
from tests.spellmark.attacks.easy_locks import CHANCE, easy_lock


def _generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_the_lock_under_attack_locks():
    lock = easy_lock("shuffle")
    assert lock.right > 0.75
    assert lock.wrong < 0.4


def test_the_best_of_many_random_keys_is_better_than_most():
    lock = easy_lock("shuffle")
    result = random_keys(
        lock.target, lock.attacker[:200], lock.test, generator=_generator(), budget=300
    )
    assert lock.wrong < result.accuracy < lock.right
    assert (result.labels_used, result.evaluations) == (200, 300)


@pytest.mark.slow
def test_swaps_by_accuracy_find_a_better_key():
    lock = easy_lock("shuffle")
    result = swaps_by_accuracy(
        lock.target, lock.attacker[:100], lock.test, generator=_generator(), budget=1_300
    )
    assert result.accuracy > max(2 * CHANCE, lock.wrong)
    assert result.evaluations <= 1_300


@pytest.mark.slow
def test_swaps_by_cross_entropy_find_a_key_that_works():
    lock = easy_lock("shuffle")
    result = swaps_by_cross_entropy(
        lock.target, lock.attacker[:100], lock.test, generator=_generator(), budget=2_000
    )
    assert result.accuracy > lock.wrong + 0.2
    assert result.evaluations <= 2_000


@pytest.mark.slow
def test_they_fit_the_permutation_of_keyed_labels():
    lock = easy_lock("shuffle", "keyed")
    result = swaps_by_cross_entropy(
        lock.target, lock.attacker[:100], lock.test, generator=_generator(), budget=1_000
    )
    assert result.accuracy > 3 * CHANCE


def test_the_same_seed_gives_the_same_result():
    lock = easy_lock("shuffle")
    one, same, other = (
        random_keys(
            lock.target, lock.attacker[:50], lock.test, generator=_generator(seed), budget=5
        )
        for seed in (0, 0, 1)
    )
    assert (one.accuracy, one.details) == (same.accuracy, same.details)
    assert one.details != other.details


def test_progress_may_stop_it():
    lock, seen = easy_lock("shuffle"), []

    def stop(share: float, text: str) -> None:
        seen.append(share)
        if len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        random_keys(
            lock.target, lock.attacker[:50], lock.test,
            generator=_generator(), budget=10, progress=stop,
        )  # fmt: skip
    assert seen == [0.1, 0.2, 0.3]


def test_a_thief_without_images_is_told_so():
    lock = easy_lock("shuffle")
    with pytest.raises(AttackError, match="no labelled images"):
        random_keys(lock.target, lock.attacker[:0], lock.test, generator=_generator(), budget=1)
