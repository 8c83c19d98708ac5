from dataclasses import replace

import numpy as np
import pytest

from spellmark.attacks.key_lock.key_guess import KeyGuess
from spellmark.attacks.key_lock.key_moves import Move, sweep
from spellmark.locks.key_lock.parameters import Geometry, LockParameters

EVERYTHING = LockParameters(
    block=4, steps="scramble+shuffle+flip+substitute", tables="position", keys="block"
)
GEOMETRY = Geometry(3, 8, 12, 4)
IMAGES = np.random.default_rng(0).integers(0, 256, (4, 3, 8, 12), np.uint8)


def _random(parameters: LockParameters = EVERYTHING, seed: int = 0) -> KeyGuess:
    return KeyGuess.random(GEOMETRY, parameters, np.random.default_rng(seed))


def test_the_identity_leaves_images_alone():
    assert np.array_equal(KeyGuess.identity(GEOMETRY, EVERYTHING).transform()(IMAGES), IMAGES)


def test_the_identity_pads_as_the_lock_does():
    geometry = Geometry(3, 7, 12, 4, "edge")
    padded = KeyGuess.identity(geometry, EVERYTHING).transform()(IMAGES[:, :, :7])
    assert np.array_equal(padded[:, :, :7], IMAGES[:, :, :7])
    assert np.array_equal(padded[:, :, 7], IMAGES[:, :, 6])


@pytest.mark.parametrize("keys", ["shared", "block"])
def test_a_random_guess_is_of_the_locks_kind(keys):
    parameters = replace(EVERYTHING, keys=keys, masked=25)
    guess = _random(parameters)
    assert guess.order.shape == (6 if keys == "block" else 1, 48)
    assert (guess.flipped.sum(1) == 12).all()
    assert (guess.substituted.sum(1) == 12).all()
    assert np.array_equal(guess.transform().inverse(guess.transform()(IMAGES)), IMAGES)


@pytest.mark.parametrize("step", ["scramble", "shuffle", "flip", "substitute"])
def test_a_guess_does_what_its_lock_does_and_nothing_else(step):
    guess = _random(replace(EVERYTHING, steps=step))
    changed = {
        "scramble": (guess.blocks != np.arange(6)).any(),
        "shuffle": (guess.order != np.arange(48)).any(),
        "flip": guess.flipped.any(),
        "substitute": guess.substituted.any(),
    }
    assert [name for name, differs in changed.items() if differs] == [step]
    assert not np.array_equal(guess.transform()(IMAGES), IMAGES)


def test_blocks_come_before_positions():
    """What a guess says is what happens: the block, then its values, the flip, the table."""
    guess = _random()
    keyed = guess.transform()(IMAGES)
    block = IMAGES[0].reshape(3, 2, 4, 3, 4).transpose(1, 3, 2, 4, 0).reshape(6, 48)
    seen = keyed[0].reshape(3, 2, 4, 3, 4).transpose(1, 3, 2, 4, 0).reshape(6, 48)
    values = block[guess.blocks[5]][guess.order[5]] ^ (guess.flipped[5] * np.uint8(255))
    tables = guess.tables[5 * 48 + np.arange(48), values]
    assert np.array_equal(seen[5], np.where(guess.substituted[5], tables, values))


def test_a_sweep_tries_every_neighbour_once():
    parameters = LockParameters(block=4, steps="scramble+shuffle+flip")
    moves = list(sweep(_random(parameters), np.random.default_rng(0)))
    assert len(set(moves)) == len(moves) == 6 * 5 // 2 + 48 * 47 // 2 + 48


def test_moves_change_what_they_say_and_leave_the_guess_alone():
    guess = _random()
    for move in list(sweep(guess, np.random.default_rng(0)))[:200]:
        other = move(guess)
        before, after = getattr(guess, move.field), getattr(other, move.field)
        assert (before != after).sum() == (1 if move.a == move.b else 2)
        again = move(other)
        assert np.array_equal(getattr(again, move.field), before)


def test_a_move_swaps_blocks():
    guess = KeyGuess.identity(GEOMETRY, EVERYTHING)
    assert Move("blocks", 0, 1, 4)(guess).blocks.tolist() == [0, 4, 2, 3, 1, 5]
