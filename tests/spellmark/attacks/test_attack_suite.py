import json
from dataclasses import asdict

import pytest

from spellmark.attacks.attack import AttackError
from spellmark.attacks.key_lock import suite
from spellmark.attacks.key_lock.catalogue import ATTACKS, Budget
from spellmark.attacks.key_lock.suite import run_suite
from tests.spellmark.attacks.easy_locks import CARD, easy_lock, plain_model


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setitem(suite.BUDGETS, "quick", Budget(3, 3, 3, 1, 100, 5, (50,)))


@pytest.mark.slow
def test_every_attack_of_the_catalogue_runs_and_its_result_is_ready_for_json(tiny):
    lock, seen = easy_lock("shuffle+flip", "keyed"), []
    results = run_suite(
        lock.target.model, plain_model(), CARD, lock.key, lock.attacker[:300], lock.test,
        progress=lambda share, text: seen.append((share, text)),
    )  # fmt: skip
    fine_tuned = {"fine-tune-locked", "fine-tune-head", "from-scratch", "fine-tune-base"}
    assert {result.name for result in results} == set(ATTACKS) - {"fine-tune"} | fine_tuned
    assert all(0 <= result.accuracy <= 1 and result.seconds > 0 for result in results)
    assert json.loads(json.dumps([asdict(result) for result in results]))
    shares = [share for share, _ in seen]
    assert shares == sorted(shares)
    assert 0 < shares[0] < shares[-1] == 1
    assert {text.split(":")[0] for _, text in seen} == set(ATTACKS)


def test_an_attack_gives_the_same_alone_as_among_others(tiny):
    lock = easy_lock("shuffle+flip", "keyed")

    def run(*names: str) -> dict[str, float]:
        results = run_suite(
            lock.target.model, None, CARD, lock.key, lock.attacker[:300], lock.test, attacks=names
        )
        return {result.name: result.accuracy for result in results}

    both = run("random-keys", "bypass-pixel")
    assert list(both) == ["random-keys", "bypass-pixel"]
    assert run("bypass-pixel")["bypass-pixel"] == both["bypass-pixel"]


def test_a_quick_suite_finds_the_weakness_of_an_easy_lock():
    lock = easy_lock("shuffle+flip", "keyed")
    results = run_suite(
        lock.target.model, None, CARD, lock.key, lock.attacker, lock.test,
        attacks=["known-plaintext", "ciphertext-only"],
    )  # fmt: skip
    assert all(result.accuracy > lock.right - 0.05 for result in results)


def test_it_refuses_an_attack_it_does_not_know():
    lock = easy_lock("shuffle+flip", "keyed")
    with pytest.raises(AttackError, match="no attack “bribery”"):
        run_suite(
            lock.target.model, None, CARD, lock.key, lock.attacker, lock.test, attacks=["bribery"]
        )
