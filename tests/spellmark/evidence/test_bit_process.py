"""The e-process: a martingale over fair signs, which a true key makes grow."""

import math
from itertools import product

import numpy as np
import pytest

from spellmark.evidence.bit_process import STAKES, BitProcess


def fortune_after(leans, signs):
    process = BitProcess()
    for lean, sign in zip(leans, signs, strict=True):
        process.bet(lean, sign)
    return math.exp(process.log_fortune), math.exp(process.log_most)


def test_its_mean_over_all_keys_is_one():
    leans = [0.9, -0.3, 0.0, -1.0, 0.5]
    fortunes = [fortune_after(leans, signs)[0] for signs in product((-1, 1), repeat=5)]
    assert np.mean(fortunes) == pytest.approx(1)


def test_leans_may_follow_from_the_signs_that_were_read():
    """Always betting on the side of the last sign is still fair."""
    fortunes = []
    for signs in product((-1, 1), repeat=6):
        process, lean = BitProcess(), 0.5
        for sign in signs:
            process.bet(lean, sign)
            lean = 0.9 * sign
        fortunes.append(math.exp(process.log_fortune))
    assert np.mean(fortunes) == pytest.approx(1)


def test_it_seldom_ever_crosses_its_line():
    """Ville: P(the greatest fortune >= 1/a) <= a."""
    chance = np.random.default_rng(5)
    leans = np.tanh(chance.normal(size=60))
    most = np.array([fortune_after(leans, chance.choice((-1, 1), 60))[1] for _ in range(3000)])
    for alpha in (0.2, 0.05, 0.01):
        assert (most >= 1 / alpha).mean() <= alpha


def test_a_key_that_fits_multiplies_it():
    fortune, most = fortune_after([0.9] * 40, [1] * 40)
    assert fortune == most > 1e6
    assert fortune <= 2.0**40
    worst, start = fortune_after([0.9] * 40, [-1] * 40)
    assert worst < 1 == pytest.approx(start)


def test_no_stake_risks_all():
    assert max(STAKES) < 1
