import numpy as np
import pytest
import torch

from spellmark.attacks.attack import AttackError, Target
from spellmark.attacks.fine_tune import WAYS, HeadOnly, NormsOnly, fine_tune, recipe_for
from spellmark.attacks.key_lock.key_target import KeyTarget
from spellmark.model_files.card import ModelCard
from spellmark.training.architectures import build
from spellmark.training.fit import Recipe, fit
from tests.spellmark.attacks.easy_locks import CARD, easy_lock, images, plain_model


@pytest.mark.slow
def test_it_measures_all_four_ways_for_each_size():
    lock, base = easy_lock("shuffle", "keyed"), plain_model()
    fit(base, CARD, images()[0], Recipe(epochs=2, batch=64))
    locked = {name: part.clone() for name, part in lock.target.model.state_dict().items()}
    results = fine_tune(
        lock.target, base, lock.attacker, lock.test,
        generator=np.random.default_rng(0), grid=(50, 200, 10**6), steps=100,
    )  # fmt: skip
    reached = {(result.name, result.labels_used): result.accuracy for result in results}
    names = {"fine-tune-locked", "fine-tune-head", "from-scratch", "fine-tune-base"}
    assert set(reached) == {(name, size) for name in names for size in (50, 200)}
    assert all(accuracy > 0.2 for accuracy in reached.values())
    assert reached["from-scratch", 200] > 0.5
    assert reached["fine-tune-base", 50] > reached["from-scratch", 50]
    assert all(result.evaluations >= 100 for result in results)
    after = lock.target.model.state_dict()
    assert all(torch.equal(locked[name], after[name]) for name in locked)


@pytest.mark.parametrize("size", [1, 50, 64, 65, 1_000, 100_000])
def test_a_recipe_makes_enough_steps_and_few_more(size):
    recipe = recipe_for(size, steps=300, learning_rate=1e-3, seed=0)
    steps_an_epoch = -(-size // recipe.batch)
    assert 300 <= recipe.epochs * steps_an_epoch < 300 + steps_an_epoch


def test_head_only_trains_the_last_linear_layer_alone():
    model = plain_model()
    head = HeadOnly(model)
    fit(head, CARD, images()[1][:64], Recipe(epochs=1, batch=64))
    before, after = model.state_dict(), head.model.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"head.3.weight", "head.3.bias"}


def test_a_model_without_a_linear_layer_has_no_head():
    with pytest.raises(AttackError, match="no linear layer"):
        HeadOnly(torch.nn.Conv2d(1, 1, 3))


def test_a_way_that_the_layers_do_not_allow_is_left_out():
    lock = easy_lock("shuffle", "keyed")
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(CARD.height * CARD.width, 10))
    target = KeyTarget(model, CARD, lock.key.parameters, lock.key.geometry)
    arguments = {"generator": np.random.default_rng(0), "grid": (20,), "steps": 1}
    ways = ("fine-tune-norms", "fine-tune-head")
    found = fine_tune(target, None, lock.attacker, lock.test, ways=ways, **arguments)
    assert [result.name for result in found] == ["fine-tune-head"]
    with pytest.raises(AttackError, match="no batch normalisation"):
        fine_tune(target, None, lock.attacker, lock.test, ways=ways[:1], **arguments)


def test_progress_may_stop_it():
    lock = easy_lock("shuffle", "keyed")
    target = KeyTarget(lock.target.model, CARD, lock.key.parameters, lock.key.geometry)

    def stop(share: float, text: str) -> None:
        assert text.startswith("fine-tune-locked, epoch 1")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fine_tune(
            target, None, lock.attacker, lock.test,
            generator=np.random.default_rng(0), grid=(50,), progress=stop,
        )  # fmt: skip


def test_norms_only_trains_the_normalisation_and_its_statistics():
    model = plain_model()
    norms = NormsOnly(model)
    fit(norms, CARD, images()[1][:64], Recipe(epochs=3, batch=64))
    before, after = model.state_dict(), norms.model.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    kinds = {name.rsplit(".", 1)[1] for name in changed}
    assert kinds == {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}
    assert not any(name.startswith("head") for name in changed)


def test_a_model_without_normalisation_has_none_to_train():
    with pytest.raises(AttackError, match="no batch normalisation"):
        NormsOnly(torch.nn.Linear(1, 1))


def test_a_network_from_scratch_keeps_no_weight_of_the_locked_one():
    """A ViT's class token and position embeddings belong to no layer that could draw them anew."""
    config = {
        "model_type": "vit", "image_size": 8, "patch_size": 4, "hidden_size": 8,
        "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8,
    }  # fmt: skip
    card = ModelCard(
        architecture="transformers", config=config, classes=3, channels=1, height=8, width=8
    )
    locked = build(card)
    with torch.no_grad():
        for weights in locked.parameters():
            weights.fill_(7.0)
    before = torch.random.get_rng_state()
    one, same, other = (
        WAYS["from-scratch"](Target(locked, card, None), None, seed) for seed in (1, 1, 2)
    )
    assert torch.equal(torch.random.get_rng_state(), before)
    for name, weights in one.named_parameters():
        assert not (weights == 7.0).any(), name
        assert torch.equal(weights, same.get_parameter(name))
    assert any(not torch.equal(w, other.get_parameter(n)) for n, w in one.named_parameters())


def test_only_the_ways_that_were_asked_for_are_taken():
    lock = easy_lock("shuffle", "keyed")
    results = fine_tune(
        lock.target, None, lock.attacker, lock.test[:50],
        generator=np.random.default_rng(0), grid=(10,), steps=1,
        ways=("from-scratch", "fine-tune-base"),
    )  # fmt: skip
    # There is no base model here.
    assert [result.name for result in results] == ["from-scratch"]
