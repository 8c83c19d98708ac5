import numpy as np
import pytest
import torch

from spellmark.attacks.front import FrontedModel, sinkhorn
from spellmark.attacks.key_lock.key_guess import KeyGuess
from spellmark.attacks.key_lock.relaxed_key import RelaxedKey, relaxed_key
from tests.spellmark.attacks.easy_locks import CHANCE, easy_lock


def test_sinkhorn_gives_rows_and_columns_that_sum_to_one():
    logits = torch.randn(3, 7, 7, generator=torch.Generator().manual_seed(0))
    doubly = sinkhorn(logits)
    assert torch.allclose(doubly.sum(1), torch.ones(3, 7), atol=1e-4)
    assert torch.allclose(doubly.sum(2), torch.ones(3, 7), atol=1e-4)


def test_a_cold_relaxed_key_is_its_hardened_one():
    """Steps and their order mean the same relaxed and hard."""
    lock, generator = easy_lock("scramble+shuffle+flip"), np.random.default_rng(0)
    guess = KeyGuess.random(lock.key.geometry, lock.key.parameters, generator)
    relaxed = RelaxedKey(lock.target, generator)
    with torch.no_grad():
        relaxed.blocks.copy_(20 * torch.eye(4)[guess.blocks])
        relaxed.order.copy_(20 * torch.eye(16)[guess.order])
        relaxed.flipped.copy_(torch.from_numpy(np.where(guess.flipped, 20, -20)))
    keyed = guess.transform()(lock.test.images[:50])
    assert np.array_equal(relaxed.hardened().transform()(lock.test.images[:50]), keyed)
    pixels = torch.from_numpy(lock.test.images[:50]).float() / 255
    assert np.abs(relaxed(pixels).detach().numpy() * 255 - keyed).max() < 0.5


@pytest.mark.slow
def test_it_finds_a_key_that_works():
    lock = easy_lock("shuffle")
    result = relaxed_key(
        lock.target, lock.attacker[:100], lock.test,
        generator=np.random.default_rng(0), steps=200, starts=2,
    )  # fmt: skip
    assert result.accuracy > 0.6
    assert result.evaluations == 2 * 201


@pytest.mark.slow
def test_it_learns_keyed_labels_together_with_the_key_and_swaps_improve_it():
    lock = easy_lock("shuffle", "keyed")
    result = relaxed_key(
        lock.target, lock.attacker[:100], lock.test,
        generator=np.random.default_rng(0), steps=200, starts=2, swaps=400,
    )  # fmt: skip
    assert result.name == "relaxed-key-swaps"
    assert result.accuracy > 4 * CHANCE


def test_it_works_through_tables_and_keys_of_each_block():
    lock = easy_lock("shuffle+substitute", keys="block")
    relaxed = RelaxedKey(lock.target, np.random.default_rng(0))
    model = FrontedModel(lock.target, relaxed)
    knots = relaxed.knots.detach().clone()
    batch = lock.attacker[:100]
    before = lock.target.likelihood(model.answers(batch.images), batch.labels)
    model.learn(batch, generator=np.random.default_rng(0), steps=60, learning_rate=0.1)
    assert lock.target.likelihood(model.answers(batch.images), batch.labels) > before
    assert not torch.equal(knots, relaxed.knots)
    assert relaxed.hardened().transform()(batch.images).shape == batch.images.shape


def test_the_targets_model_is_left_alone():
    lock = easy_lock("shuffle")
    before = {name: part.clone() for name, part in lock.target.model.state_dict().items()}
    relaxed_key(
        lock.target, lock.attacker[:20], lock.test,
        generator=np.random.default_rng(0), steps=2, starts=1,
    )  # fmt: skip
    after = lock.target.model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(part.requires_grad for part in lock.target.model.parameters())
