"""A small model learns its triggers, keeps its accuracy, and a thief's training leaves them."""

from copy import deepcopy

import numpy as np
import pytest

from spellmark.attacks.attack import AttackError
from spellmark.attacks.prune import prune_and_tune
from spellmark.attacks.trigger.catalogue import ATTACKS, BUDGETS, Budget
from spellmark.attacks.trigger.suite import run_suite
from spellmark.model_files.card import ModelCard
from spellmark.secrets import KeyFile
from spellmark.training import datasets
from spellmark.training.architectures import fresh
from spellmark.training.fit import Recipe, fit
from spellmark.training.inference import accuracy, predict_labels
from spellmark.watermarks.trigger import SCHEME, TriggerKey, TriggerMarkError, TriggerParameters
from spellmark.watermarks.trigger.embed import embed
from spellmark.watermarks.trigger.examine import check_owner, examine, rule_for

CARD = ModelCard(architecture="small-mlp", classes=10, channels=1, height=28, width=28)
PARAMETERS = TriggerParameters(classes=10, channels=1, height=28, width=28, triggers=64, queries=32)
SEED = b"\5" * 32

# Trains small networks: about a minute.
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data():
    return datasets.load("fashion-mnist")


@pytest.fixture(scope="module")
def key():
    file = KeyFile(SCHEME, PARAMETERS.as_dict(), secret=b"\3" * 32, nonce=bytes(32))
    return TriggerKey.open(file, owner="robin", binding=b"\4" * 32)


@pytest.fixture(scope="module")
def unmarked(data):
    return fit(fresh(CARD, 1), CARD, data.train[:3000], Recipe(epochs=4))


@pytest.fixture(scope="module")
def marked(unmarked, data, key):
    return embed(
        deepcopy(unmarked), CARD, data.train[:3000], key, Recipe(epochs=8, learning_rate=4e-3)
    )


def answers(model):
    return lambda images: predict_labels(model, CARD, images)


def test_the_owners_model_may_claim_and_the_one_before_it_may_not(marked, unmarked, key, data):
    check = check_owner(marked, unmarked, CARD, key, data.test)
    check.require()
    assert check.recall >= 0.95
    assert check.unmarked_recall < 0.3
    assert check.accuracy_after > check.accuracy_before - 0.03
    with pytest.raises(TriggerMarkError, match="a claim asks for 90%"):
        check_owner(unmarked, unmarked, CARD, key, data.test).require()


def test_a_marked_model_of_no_use_may_not_claim(marked, unmarked, key, data):
    good = check_owner(marked, unmarked, CARD, key, data.test)
    bad = type(good)(**{**good.as_dict(), "accuracy_after": good.accuracy_before - 0.06})
    with pytest.raises(TriggerMarkError, match="too much is lost"):
        bad.require()


def test_the_rule_tells_a_copy_and_lets_others_be(marked, unmarked, key):
    rule = rule_for(PARAMETERS)
    assert (rule.alpha, rule.probes) == (1e-6, 32)
    assert examine(answers(marked), key, rule, seed=SEED).verdict == "match"
    assert examine(answers(unmarked), key, rule, seed=SEED).verdict == "no match"
    constant = examine(lambda images: np.full(len(images), 3), key, rule, seed=SEED)
    assert constant.verdict == "inconclusive"


def test_a_second_dispute_opens_other_triggers(marked, key):
    rule = rule_for(PARAMETERS)
    seen = []

    def asked(images):
        seen.append({image.tobytes() for image in images})
        return predict_labels(marked, CARD, images)

    examine(asked, key, rule, seed=SEED)
    opened = tuple(n for n in range(64) if key.images[n].tobytes() in seen[0])
    second = rule_for(PARAMETERS, run=2, used=opened)
    assert examine(asked, key, second, seed=SEED).verdict == "match"
    assert not seen[0] & seen[1]


def test_thieves_training_leaves_the_mark_and_distillation_does_not(marked, key, data, monkeypatch):
    monkeypatch.setitem(BUDGETS, "quick", Budget(1500, 2, (1e-3,), (0.6,), (4,)))
    rule = rule_for(PARAMETERS)
    results = run_suite(
        marked, CARD, data.train[3000:], data.test[:1000],
        lambda answer: examine(answer, key, rule, seed=SEED),
    )  # fmt: skip
    assert [one.name for one in results] == list(ATTACKS)
    verdicts = {one.name: one.verdict for one in results}
    kept = ("as-stolen", "fine-tune-all", "fine-tune-last", "prune-and-tune", "quantise")
    assert [verdicts[name] for name in kept] == ["match"] * 5
    assert verdicts["distil-probabilities"] == verdicts["distil-labels"] == "no match"
    assert all(0.5 < one.accuracy <= 1 for one in results)


def test_what_was_pruned_stays_so(marked, data):
    some = data.train[:256]
    left = prune_and_tune(marked, CARD, some, share=0.6, epochs=1, seed=0)
    numbers = [weight for weight in left.parameters() if weight.ndim > 1]
    zeros = sum(int((weight == 0).sum()) for weight in numbers)
    assert zeros == pytest.approx(0.6 * sum(weight.numel() for weight in numbers), abs=2)
    assert accuracy(left, CARD, data.test.images, data.test.labels) > 0.5
    with pytest.raises(AttackError):
        prune_and_tune(marked, CARD, data.train[:0], share=0.6, epochs=1, seed=0)


def test_a_key_for_another_model_is_refused(marked, key, data):
    other = ModelCard(architecture="small-mlp", classes=9, channels=1, height=28, width=28)
    with pytest.raises(TriggerMarkError, match="Make a key for this model"):
        embed(marked, other, data.train[:10], key)
