import json
from dataclasses import asdict, dataclass

import numpy as np
import pytest

from spellmark.attacks.attack import AttackError
from spellmark.attacks.extract import suite
from spellmark.attacks.extract.api import guarded
from spellmark.attacks.extract.catalogue import ATTACKS, BUDGETS, NETWORKS, REMOVALS, Budget
from spellmark.attacks.extract.suite import run_suite
from spellmark.training.architectures import ARCHITECTURES
from spellmark.watermarks.dynamic import Guard
from tests.spellmark.attacks.extract.easy_guard import CARD, easy_guard, mark_key

TINY = Budget(
    queries=60, epochs=1, steps=2, rounds=2, few=(20,), labels=10, tuned=((1, 1e-4), (2, 1e-3)),
    pruned=(0.5, 0.9), bits=(4,), decimals=(1,), tops=(3, 1),
)  # fmt: skip


@dataclass(frozen=True)
class Said:
    """A decision that tells what the suspect's answers were."""

    reason: str
    verdict: str = "no match"
    p_value: float | None = 0.5
    queries: int = 7
    access: str = "probabilities"
    client: str | None = None


def examine(answer) -> Said:
    return Said(reason=f"{answer(easy_guard().test.images[:3]).sum():.3f}")


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setitem(suite.BUDGETS, "quick", TINY)


def _run(*names: str, test=examine, **options):
    guard = easy_guard()
    wanted = {"architecture": "small-mlp", "attacks": names or None, **options}
    return run_suite(guard.api, CARD, guard.attacker[:100], guard.test[:50], test, **wanted)


def _other_api():
    return guarded(easy_guard().model, CARD, Guard(mark_key(2)))


def test_every_attack_of_the_catalogue_runs_and_its_result_is_ready_for_json(tiny):
    seen = []
    results = _run(other_api=_other_api(), progress=lambda share, text: seen.append((share, text)))
    assert list(dict.fromkeys(result.name for result in results)) == list(ATTACKS)
    for result in results:
        assert 0 <= result.accuracy <= 1
        assert 0 <= result.agreement <= 1
        assert (result.verdict, result.questions, result.access) == (
            "no match", 7, "probabilities",
        )  # fmt: skip
        assert result.details["reason"]
        assert "client" not in result.details
        assert result.seconds > 0
    assert json.loads(json.dumps([asdict(result) for result in results]))
    shares = [share for share, _ in seen]
    assert shares == sorted(shares)
    assert shares[-1] <= 1


def test_a_theft_costs_what_it_asks(tiny):
    asked = {result.name: result.queries for result in _run(other_api=_other_api())}
    assert asked == dict.fromkeys(ATTACKS, 60) | {
        "averaged-queries": 180, "few-calls": 20, "two-keys": 120,
    }  # fmt: skip


def test_a_grid_has_a_result_for_each_of_its_points(tiny):
    results = _run("few-calls", "other-networks", "pruned-copy", "top-answers")
    for result in results:
        del result.details["reason"]
    assert [(result.name, result.architecture, result.details) for result in results] == [
        ("few-calls", "small-mlp", {"answers": "probabilities"}),
        ("few-calls", "small-mlp", {"answers": "labels"}),
        ("other-networks", "small-resnet", {}),
        ("other-networks", "small-cnn", {}),
        ("pruned-copy", "small-mlp", {"share": 0.5}),
        ("pruned-copy", "small-mlp", {"share": 0.9}),
        ("top-answers", "small-mlp", {"shown": 3}),
        ("top-answers", "small-mlp", {"shown": 1}),
    ]  # fmt: skip


def test_an_attack_gives_the_same_alone_as_among_others(tiny):
    def told(result):
        return result.accuracy, result.agreement, result.details

    alone = _run("few-calls")[0]
    among = next(r for r in _run("other-images", "few-calls") if r.name == "few-calls")
    assert told(alone) == told(among)


def test_the_owner_is_asked_about_the_suspects_own_answers(tiny):
    def shown(answer) -> Said:
        told = answer(easy_guard().test.images[:20])
        return Said(
            reason=f"{(told > 0).sum(1).max()} of {len(told)}",
            access=f"{len(np.unique(told.round(9)))} values",
            client="globex",
        )

    results = {r.name: r for r in _run("flattened-answers", "rounded-answers", test=shown)}
    assert results["flattened-answers"].details == {"reason": "10 of 20", "client": "globex"}
    # At most two different numbers an image, and eleven numbers of one decimal.
    assert int(results["flattened-answers"].access.split()[0]) <= 40
    assert int(results["rounded-answers"].access.split()[0]) <= 11
    top = _run("top-answers", test=shown)[0]
    assert top.details["reason"] == "3 of 20"


def test_the_plain_copy_is_stolen_once_and_kept_for_the_next_call(tiny, tmp_path, monkeypatch):
    first = _run("soft-answers", folder=tmp_path)[0]

    def refuse(self, progress, **options):
        raise AssertionError("it was stolen again")

    monkeypatch.setattr(suite.Heist, "soft", refuse)
    again, pruned = _run("soft-answers", "pruned-copy", folder=tmp_path)[:2]
    assert again == first
    assert pruned.queries == first.queries
    assert pruned.seconds > first.seconds


def test_other_images_are_asked_about_where_there_are_some(tiny):
    made = _run("other-images")[0]
    colours = np.random.default_rng(0).integers(0, 256, (30, 3, 20, 20), np.uint8)
    other = _run("other-images", other_images=colours)[0]
    assert (made.queries, made.details["images"]) == (60, "made")
    assert (other.queries, other.details["images"]) == (30, "another data set")


def test_without_a_second_key_there_is_no_mean_of_two(tiny):
    assert "two-keys" not in {result.name for result in _run()}
    with pytest.raises(AttackError, match="no second API"):
        _run("two-keys")


def test_it_refuses_an_attack_it_does_not_know():
    with pytest.raises(AttackError, match="no attack “bribery”"):
        _run("bribery")


def test_the_catalogue_names_networks_that_there_are():
    assert set(NETWORKS) <= set(ARCHITECTURES)
    assert set(REMOVALS) < set(ATTACKS)
    assert all(text.endswith(".") for text in ATTACKS.values())
    assert set(BUDGETS) == {"quick", "full"}
