"""False claims as a worker makes them, with models that were really trained."""

import json
from dataclasses import replace

import pytest

import tasks
from jobs.models import Job
from jobs.services import CancelledError, LeaseLostError, job_cancel, job_renew
from protection.false_claims import false_claims_create
from protection.models import Rehearsal
from registry.models import Version
from spellmark.attacks.forge_claim.catalogue import BUDGETS, FORGERIES
from tasks import false_claims
from tasks.work import Work
from tests import factories
from tests.tasks.test_verification_jobs import blots, one_connection, one_thread

__all__ = ["blots", "one_connection", "one_thread"]

pytestmark = pytest.mark.slow

SIZES = replace(
    BUDGETS["quick"], images=700, epochs=3, mark_epochs=20, references=1, innocents=2,
    candidates=64, steps=4, secrets=10,
)  # fmt: skip


@pytest.fixture(autouse=True)
def small(monkeypatch) -> None:
    monkeypatch.setitem(BUDGETS, "quick", SIZES)


@pytest.fixture
def version(alice_actor) -> Version:
    return factories.published_version(alice_actor)


@pytest.fixture
def row(alice_actor, version) -> Rehearsal:
    return false_claims_create(actor=alice_actor, version=version, dataset="blots", budget="quick")


@pytest.fixture
def pool(alice_actor, version) -> None:
    """A null pool that is large enough, and costs nothing."""
    factories.reference_pool(alice_actor, version, dataset="blots", of_a_kind=10)


def lines(row: Rehearsal) -> str:
    return "\n".join(line.text for line in row.job.lines.all())


def test_every_kind_is_tried_and_none_is_believed(row, tmp_path):
    tasks.run_job(str(row.job_id))
    row.refresh_from_db()
    assert row.job.state == Job.State.SUCCEEDED, row.job.error
    assert list(dict.fromkeys(one["name"] for one in row.results)) == list(FORGERIES)
    assert len(row.results) == len(FORGERIES) + 6
    for one in row.results:
        assert one["accepted"] == 0, one
        assert sum(one["stopped_by"].values()) == one["tried"] > 0
    named = {one["name"]: one for one in row.results}
    ground = [one["tried"] for one in row.results if one["name"] == "seed grinding"]
    assert ground == [SIZES.secrets] * 2
    assert named["free labels"]["naive"] == SIZES.innocents
    assert "others are trained" in lines(row)
    assert "1 models of the accuser's, 2 innocents, a null pool of 30" in lines(row)
    assert "seed grinding, 10 secrets at α = 1e-06: 0 of 10 accepted" in lines(row)
    assert "seed grinding, 10 secrets at α = 0.01: 0 of 10 accepted" in lines(row)
    assert not (tmp_path / "scratch" / str(row.job_id)).exists()


def test_the_versions_own_null_pool_sits_in_court(row, pool):
    Rehearsal.objects.filter(id=row.id).update(attacks=["hand-picked images", "backdating"])
    tasks.run_job(str(row.job_id))
    row.refresh_from_db()
    assert row.job.state == Job.State.SUCCEEDED, row.job.error
    assert "a null pool of 30" in lines(row)
    assert "others are trained" not in lines(row)
    assert [one["name"] for one in row.results] == ["hand-picked images", "backdating"]
    assert row.results[0]["details"]["pool"] == 30


def test_a_lost_worker_leaves_its_models_and_the_kinds_that_were_done(
    row, pool, tmp_path, monkeypatch
):
    Rehearsal.objects.filter(id=row.id).update(attacks=["hand-picked images", "backdating"])
    whole, asked = false_claims.run_forgeries, []

    def dies_at_the_second(world, names, **options):
        asked.extend(names)
        if len(asked) == 2:
            raise LeaseLostError
        return whole(world, names, **options)

    monkeypatch.setattr(false_claims, "run_forgeries", dies_at_the_second)
    work = Work(factories.claimed(row.job))
    with pytest.raises(LeaseLostError):
        false_claims.run(work)
    folder = tmp_path / "scratch" / str(row.job_id)
    assert json.loads((folder / "hand-picked images.json").read_text())[0]["accepted"] == 0
    models = {path.name: path.stat().st_mtime_ns for path in folder.glob("model-*.pt")}
    assert len(models) == SIZES.models - SIZES.pool
    shown: list[str] = []
    monkeypatch.setattr(Work, "progress", lambda self, share, step: shown.append(step))
    false_claims.run(work)
    assert asked == ["hand-picked images", "backdating", "backdating"]
    assert not [step for step in shown if step.startswith("model ")]
    row.refresh_from_db()
    assert [one["name"] for one in row.results] == ["hand-picked images", "backdating"]


def test_it_stops_when_it_is_cancelled(row, pool, tmp_path, monkeypatch):
    tell = Work.progress

    def cancelled(work, share, step):
        if step.startswith("3 of 10 secrets"):
            job_cancel(job=row.job, by="bob")
            # As the heartbeat does, which these tests stop.
            with pytest.raises(CancelledError) as seen:
                job_renew(job=work.job)
            work._ended = seen.value
        tell(work, share, step)

    monkeypatch.setattr(Work, "progress", cancelled)
    tasks.run_job(str(row.job_id))
    row.refresh_from_db()
    assert (row.job.state, row.results) == (Job.State.CANCELLED, None)
    assert not (tmp_path / "scratch" / str(row.job_id)).exists()
    assert "adversarial images" in lines(row)
    assert "seed grinding" not in lines(row)


def test_too_few_images_end_it_with_what_to_do(row, monkeypatch):
    monkeypatch.setitem(BUDGETS, "quick", replace(SIZES, images=1000))
    tasks.run_job(str(row.job_id))
    row.refresh_from_db()
    assert row.job.state == Job.State.FAILED
    assert "“blots” has 1,500 training images" in row.job.error
    assert "2,000 and 128" in row.job.hint
    assert row.results is None
