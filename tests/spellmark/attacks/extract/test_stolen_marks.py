"""The owner's real test of copies that were really stolen."""

from functools import cache, partial

import pytest

from spellmark.attacks.extract import suite
from spellmark.attacks.extract.api import guarded
from spellmark.attacks.extract.catalogue import Budget
from spellmark.attacks.extract.result import TheftResult
from spellmark.attacks.extract.suite import run_suite
from spellmark.evidence.mark_rule import MarkRule
from spellmark.watermarks.dynamic import Guard
from spellmark.watermarks.dynamic.examine import choose_questions, examine
from tests.spellmark.attacks.extract.easy_guard import CARD, easy_guard, mark_key

BUDGET = Budget(
    queries=4_000, epochs=6, steps=300, rounds=3, few=(500,), labels=150, tuned=((5, 1e-4),),
    pruned=(0.5,), bits=(5,), decimals=(2, 1), tops=(3, 1),
)  # fmt: skip


@cache
def _questions():
    guard = easy_guard()
    pool = guard.test.images[500:]
    return choose_questions(
        guard.key, None, guard.plain(pool), pool, seed=bytes(range(32)), wanted=256
    )


def _examine(answer, *, number: int = 1):
    parameters = easy_guard().key.parameters
    rule = MarkRule(probes=len(_questions()), classes=10, strength=parameters.strength)
    return examine(answer, _questions(), rule, {"": mark_key(number)})


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setitem(suite.BUDGETS, "quick", BUDGET)


def _run(*names: str, number: int = 1, folder=None) -> list[TheftResult]:
    guard = easy_guard()
    return run_suite(
        guard.api, CARD, guard.attacker[:8_000], guard.test[:500],
        partial(_examine, number=number), attacks=names, architecture="small-mlp", folder=folder,
        other_api=guarded(guard.model, CARD, Guard(mark_key(2))),
    )  # fmt: skip


def test_the_owners_own_model_is_innocent_and_the_api_itself_is_not():
    guard = easy_guard()
    assert _examine(guard.plain).verdict == "no match"
    assert _examine(guard.api).verdict == "match"
    assert _examine(guard.api, number=2).verdict == "no match"


@pytest.mark.slow
def test_a_copy_made_from_probabilities_is_found_under_its_key_only(small, tmp_path):
    found = _run("soft-answers", folder=tmp_path)[0]
    assert (found.verdict, found.access) == ("match", "probabilities")
    assert found.p_value <= 1e-6
    assert 0 < found.questions <= 256
    assert found.agreement > 0.75
    other = _run("soft-answers", folder=tmp_path, number=3)[0]
    assert other.verdict == "no match"
    assert other.p_value > 1e-3


@pytest.mark.slow
def test_what_no_test_can_tell_is_not_claimed(small, tmp_path):
    """Labels alone and flat tails carry no mark, and cost the thief little."""
    results = _run("labels-only", "flattened-training", "flattened-answers", folder=tmp_path)
    told = {result.name: result for result in results}
    assert told["labels-only"].verdict == "no match"
    assert told["flattened-training"].verdict == "no match"
    assert told["flattened-answers"].verdict == "inconclusive"
    assert all(result.p_value > 1e-3 for result in results)
    assert all(result.accuracy > 0.65 for result in results)


@pytest.mark.slow
def test_changed_weights_keep_the_mark(small, tmp_path):
    results = _run("pruned-copy", "quantised-copy", "distilled-copy", folder=tmp_path)
    assert {result.verdict for result in results} == {"match"}
