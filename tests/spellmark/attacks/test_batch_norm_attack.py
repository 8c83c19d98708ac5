import numpy as np
import pytest
import torch

from spellmark.attacks.attack import AttackError
from spellmark.attacks.key_lock.batch_norm import batch_norm_swaps, statistics_of
from spellmark.attacks.key_lock.key_target import KeyTarget
from tests.spellmark.attacks.easy_locks import CARD, easy_lock


def test_the_right_key_gives_the_running_statistics():
    lock = easy_lock("shuffle")
    score, plain = statistics_of(lock.target), lock.attacker.images[:128]
    wrong = [score(lock.key.other(bytes([n]) * 32)(plain)) for n in range(10)]
    assert score(lock.key(plain)) > max(wrong)


@pytest.mark.slow
def test_a_key_is_found_without_labels():
    lock = easy_lock("shuffle")
    result = batch_norm_swaps(
        lock.target, lock.attacker[:100], lock.test,
        generator=np.random.default_rng(0), budget=1_500,
    )  # fmt: skip
    assert result.accuracy > lock.wrong + 0.2


def test_scoring_leaves_no_hook_behind():
    lock = easy_lock("shuffle")
    statistics_of(lock.target)(lock.attacker.images[:10])
    assert not any(part._forward_pre_hooks for part in lock.target.model.modules())


def test_a_model_without_batch_normalisation_is_refused():
    lock = easy_lock("shuffle")
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    with pytest.raises(AttackError, match="no batch normalisation"):
        statistics_of(KeyTarget(model, CARD, lock.key.parameters, lock.key.geometry))
