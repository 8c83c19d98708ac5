"""Thefts from a guarded version as a worker rehearses them, on a model that was really trained."""

import json
from pathlib import Path

import numpy as np
import pytest

from accounts.actors import Actor
from jobs.models import Job, SealedSecret
from jobs.services import LeaseLostError, job_create
from protection.models import Rehearsal
from spellmark.attacks.attack import AttackError
from spellmark.attacks.extract import suite
from spellmark.attacks.extract.catalogue import ATTACKS, Budget
from spellmark.secrets import KeyFile
from tasks import theft
from tasks.work import Work
from tests import factories
from tests.tasks.test_guard_jobs import measured
from tests.tasks.test_verification_jobs import blots, one_connection, one_thread

__all__ = ["blots", "one_connection", "one_thread"]

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def small(monkeypatch) -> None:
    budget = Budget(
        queries=750, epochs=6, steps=200, rounds=2, few=(60,), labels=30, tuned=((2, 1e-3),),
        pruned=(0.5,), bits=(5,), decimals=(2,), tops=(3,),
    )  # fmt: skip
    monkeypatch.setitem(suite.BUDGETS, "quick", budget)


def _rehearsal(actor: Actor, folder: Path, *attacks: str) -> tuple[Rehearsal, KeyFile]:
    """Thefts that wait for a worker, and the guard's key file."""
    guard, key = measured(actor, folder, strength=100)
    job = job_create(
        organisation_id=actor.organisation.id,
        kind="thefts",
        title="Steal",
        queue="gpu",
        payload={},
        created_by=actor.name,
        secret={"key": key.dumps()},
    )
    rehearsal = Rehearsal.objects.create(
        protection=guard,
        dataset="blots",
        attacks=list(attacks),
        budget="quick",
        job=job,
        created_by=actor.name,
    )
    return rehearsal, key


def test_thefts_are_measured_and_the_key_erased(alice_actor: Actor, tmp_path: Path):
    rehearsal, key = _rehearsal(alice_actor, tmp_path, "soft-answers", "labels-only", "two-keys")
    theft.run(Work(factories.claimed(rehearsal.job)))
    rehearsal.refresh_from_db()
    assert rehearsal.job.state == Job.State.SUCCEEDED
    told = {one["name"]: one for one in rehearsal.results}
    assert list(told) == rehearsal.attacks
    assert (told["soft-answers"]["verdict"], told["soft-answers"]["queries"]) == ("match", 750)
    assert told["labels-only"]["verdict"] == "no match"
    assert told["two-keys"]["queries"] == 1500
    assert all(one["agreement"] > 0.8 for one in rehearsal.results)
    assert not SealedSecret.objects.exists()
    assert not (tmp_path / "scratch" / str(rehearsal.job_id)).exists()
    lines = [line.text for line in rehearsal.job.lines.all()]
    assert any("soft-answers, small-resnet, 750 queries" in line for line in lines)
    assert key.secret.hex() not in str([*Rehearsal.objects.values(), lines])


def test_copies_are_tested_as_in_a_dispute(alice_actor: Actor, tmp_path: Path, monkeypatch):
    """All clients' keys are tried, at the strictest alpha that so few questions can show."""
    rehearsal, key = _rehearsal(alice_actor, tmp_path, "soft-answers")
    for name in ("shop", "app"):
        factories.guard_client(alice_actor, rehearsal.protection, name=name, key=key)
    monkeypatch.setattr(theft, "USUAL_QUESTIONS", 2)
    whole, tried = theft.examine, []

    def examined(answer, questions, rule, keys):
        tried.append((len(questions), rule, keys))
        return whole(answer, questions, rule, keys)

    monkeypatch.setattr(theft, "examine", examined)
    theft.run(Work(factories.claimed(rehearsal.job)))
    ((asked, rule, keys),) = tried
    assert (asked, rule.probes, rule.clients) == (2, 2, 3)
    assert {name: key.client for name, key in keys.items()} == {n: n for n in ("", "shop", "app")}
    assert 1e-6 < rule.smallest_p <= rule.alpha == 1e-3


def test_a_thief_asks_about_other_images(alice_actor: Actor, tmp_path: Path):
    chance = np.random.default_rng(3)
    colours = {
        f"{split}_{what}": values
        for split in ("train", "test")
        for what, values in (
            ("images", chance.integers(0, 256, (300, 3, 9, 9), np.uint8)),
            ("labels", np.arange(300) % 4),
        )
    }
    np.savez(tmp_path / "colours.npz", **colours)
    rehearsal, _ = _rehearsal(alice_actor, tmp_path, "other-images")
    rehearsal.other_dataset = "colours"
    rehearsal.save()
    theft.run(Work(factories.claimed(rehearsal.job)))
    rehearsal.refresh_from_db()
    (told,) = rehearsal.results
    assert (told["details"]["images"], told["queries"]) == ("another data set", 300)


def test_a_lost_worker_leaves_what_it_had_done(alice_actor: Actor, tmp_path: Path, monkeypatch):
    rehearsal, _ = _rehearsal(alice_actor, tmp_path, "soft-answers", "pruned-copy")
    whole, asked = theft.run_suite, []

    def dies_at_the_second(*arguments, attacks, **options):
        asked.extend(attacks)
        if len(asked) == 2:
            raise LeaseLostError
        return whole(*arguments, attacks=attacks, **options)

    monkeypatch.setattr(theft, "run_suite", dies_at_the_second)
    work = Work(factories.claimed(rehearsal.job))
    with pytest.raises(LeaseLostError):
        theft.run(work)
    folder = tmp_path / "scratch" / str(rehearsal.job_id)
    assert json.loads((folder / "soft-answers.json").read_text())[0]["verdict"] == "match"
    theft.run(work)
    assert asked == ["soft-answers", "pruned-copy", "pruned-copy"]
    rehearsal.refresh_from_db()
    assert [one["name"] for one in rehearsal.results] == ["soft-answers", "pruned-copy"]


def test_thefts_that_cannot_be_run_are_told(alice_actor: Actor, tmp_path: Path, monkeypatch):
    def refuse(*arguments, **options):
        raise AttackError("Nothing to be had.", hint="Give more.")

    monkeypatch.setattr(theft, "run_suite", refuse)
    rehearsal, _ = _rehearsal(alice_actor, tmp_path, *list(ATTACKS)[:2])
    with pytest.raises(AttackError, match="None of these attacks can be run"):
        theft.run(Work(factories.claimed(rehearsal.job)))
    lines = [line.text for line in rehearsal.job.lines.all()]
    assert sum("Nothing to be had" in line for line in lines) == 2
