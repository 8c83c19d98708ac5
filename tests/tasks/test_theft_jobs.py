"""Thefts from a guarded version as a worker rehearses them, on a model that was really trained."""

import json
from pathlib import Path

import pytest

from accounts.actors import Actor
from jobs.models import Job, SealedSecret
from jobs.services import LeaseLostError, job_create
from ledger.keys import ensure_signing_keys
from protection.models import Protection, Rehearsal
from registry.services import (
    commitment_create,
    file_upload,
    model_create,
    version_create,
    version_publish,
)
from spellmark.attacks.attack import AttackError
from spellmark.attacks.extract import suite
from spellmark.attacks.extract.catalogue import ATTACKS, Budget
from spellmark.secrets import KeyFile
from spellmark.training import weights
from spellmark.watermarks.dynamic import SCHEME, MarkParameters
from tasks import theft
from tasks.work import Work
from tests import factories
from tests.tasks.test_verification_jobs import CARD, blots, innocent, one_connection, one_thread

__all__ = ["blots", "one_connection", "one_thread"]

pytestmark = pytest.mark.slow

PARAMETERS = MarkParameters(classes=10, strength=100)
KEY = KeyFile(SCHEME, PARAMETERS.as_dict(), secret=b"\7" * 32, nonce=bytes(range(32)))


@pytest.fixture(autouse=True)
def small(monkeypatch) -> None:
    budget = Budget(
        queries=750, epochs=6, steps=200, rounds=2, few=(60,), labels=30, tuned=(2,),
        pruned=(0.5,), bits=(5,), decimals=(2,), tops=(3,),
    )  # fmt: skip
    monkeypatch.setitem(suite.BUDGETS, "quick", budget)


def _rehearsal(actor: Actor, folder: Path, *attacks: str) -> Rehearsal:
    ensure_signing_keys()
    path = folder / "model.safetensors"
    weights.save(innocent(), CARD, path)
    version = version_create(actor=actor, model=model_create(actor=actor, name="robin"))
    file_upload(actor=actor, version=version, name=path.name, chunks=[path.read_bytes()])
    version = version_publish(actor=actor, version=version)
    told = {"organisation_id": actor.organisation.id, "queue": "gpu", "created_by": actor.name}
    secret = {"key": KEY.dumps()}
    protection = Protection.objects.create(
        organisation=actor.organisation,
        kind="dynamic",
        source=version,
        commitment=commitment_create(
            actor=actor, version=version, digest=KEY.commitment(), scheme=KEY.scheme,
            parameters=KEY.parameters,
        ),
        dataset="blots",
        settings={"images": 100, "decimals": None, "topK": None, "thresholds": None},
        job=job_create(**told, kind="guard", title="Guard", payload={}),
        created_by=actor.name,
    )  # fmt: skip
    return Rehearsal.objects.create(
        protection=protection,
        dataset="blots",
        attacks=list(attacks),
        budget="quick",
        job=job_create(**told, kind="thefts", title="Steal", payload={}, secret=secret),
        created_by=actor.name,
    )


def test_thefts_are_measured_and_the_key_erased(alice_actor: Actor, tmp_path: Path):
    rehearsal = _rehearsal(alice_actor, tmp_path, "soft-answers", "labels-only", "two-keys")
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
    assert KEY.secret.hex() not in str([*Rehearsal.objects.values(), lines])


def test_a_lost_worker_leaves_what_it_had_done(alice_actor: Actor, tmp_path: Path, monkeypatch):
    rehearsal = _rehearsal(alice_actor, tmp_path, "soft-answers", "pruned-copy")
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
    rehearsal = _rehearsal(alice_actor, tmp_path, *list(ATTACKS)[:2])
    with pytest.raises(AttackError, match="None of these thefts"):
        theft.run(Work(factories.claimed(rehearsal.job)))
    lines = [line.text for line in rehearsal.job.lines.all()]
    assert sum("Nothing to be had" in line for line in lines) == 2
