"""Runs by fingerprint as a worker makes them, with a null pool that was really trained."""

from copy import deepcopy

import numpy as np
import pytest
import torch

import tasks
from jobs.models import Job
from jobs.services import LeaseLostError
from ledger.keys import ensure_signing_keys
from ledger.selectors import trust
from ledger.services import ledger_sequence
from registry.services import file_upload, model_create, version_create, version_publish
from spellmark.certificates.verify import verify_files
from spellmark.evidence.null_pool import KINDS
from spellmark.model_files.card import ModelCard
from spellmark.training import datasets, weights
from spellmark.training.architectures import fresh
from spellmark.training.fit import Recipe, fit
from tasks import pool_growth, work
from tests import factories
from verification import fingerprints, references
from verification.models import ProbeSet, Reference, ReferenceAnswers
from verification.selectors import run_bundle
from verification.services import suspect_file_create

pytestmark = pytest.mark.slow

CARD = ModelCard(
    architecture="small-mlp", classes=10, channels=1, height=14, width=14, config={"width": 24}
)
OF_A_KIND = 19


@pytest.fixture(autouse=True)
def _steady(settings, monkeypatch):
    """One connection and one thread; heartbeats would wait for the test's transaction."""
    settings.JOB_LEASE_SECONDS = 3600
    monkeypatch.setattr(work, "BEAT_SECONDS", 3600)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def small(tmp_path, monkeypatch):
    """Fashion-MNIST at half its size, and little of it."""
    whole = datasets.load("fashion-mnist")

    def halved(split, count):
        return split.images[:count, 0, ::2, ::2], split.labels[:count]

    train, test = halved(whole.train, 1200), halved(whole.test, 1600)
    np.savez(
        tmp_path / "small.npz",
        train_images=train[0], train_labels=train[1],
        test_images=test[0], test_labels=test[1],
    )  # fmt: skip
    monkeypatch.setenv("SPELLMARK_DATA", str(tmp_path))


def trained(seed, part=slice(0, 600), model=None, **choices):
    recipe = Recipe(**{"epochs": 20, "batch": 128, "seed": seed} | choices)
    return fit(model or fresh(CARD, seed), CARD, datasets.load("small").train[part], recipe)


def saved(model, path):
    weights.save(model, CARD, path)
    return path.read_bytes()


def version_of(actor, model, tmp_path):
    ensure_signing_keys()
    version = version_create(actor=actor, model=model_create(actor=actor, name="robin"))
    file_upload(
        actor=actor, version=version, name="model.safetensors",
        chunks=[saved(model, tmp_path / "own.safetensors")],
    )  # fmt: skip
    version = version_publish(actor=actor, version=version)
    ledger_sequence()
    return version


def suspect_of(actor, model, tmp_path, name):
    chunks = [saved(model, tmp_path / f"{name}.safetensors")]
    return suspect_file_create(actor=actor, name=name, chunks=chunks)


def grown(actor, version):
    job = references.pool_grow(
        actor=actor, version=version, dataset="small", images=600, of_a_kind=OF_A_KIND, epochs=30
    )
    tasks.run_job(str(job.id))
    job.refresh_from_db()
    assert job.state == Job.State.SUCCEEDED, job.error
    return job


def ran(actor, version, suspect, method, **choices):
    run = fingerprints.fingerprint_run_create(
        actor=actor, suspect=suspect, version=version, dataset="small", method=method, **choices
    )
    tasks.run_job(str(run.job_id))
    run.refresh_from_db()
    assert run.job.state == Job.State.SUCCEEDED, run.job.error
    ledger_sequence()
    report = verify_files(run_bundle(run), trust())
    assert report.passed, report.checks
    assert {check.name: check.passed for check in report.checks}["statistic"]
    return run


def not_void(ask, *asked, **choices):
    """A run by `ask` whose claim is not void. Which innocents calibrate is drawn in each run:
    where the closest of them test, it is void, as it has to be."""
    for _ in range(6):
        run = ask(*asked, **choices)
        if not run.findings["void"]:
            return run
    raise AssertionError(run.reason)


def test_copies_are_told_from_innocents_by_every_fingerprint(alice_actor, tmp_path, monkeypatch):
    # Fast to train, all of them.
    others = tuple(("small-mlp", {"width": width}) for width in (16, 32, 48))
    monkeypatch.setattr(pool_growth, "OTHERS", others)
    owner = trained(0)
    version = version_of(alice_actor, owner, tmp_path)
    grown(alice_actor, version)
    rows = Reference.objects.all()
    assert all(rows.filter(kind=kind).count() == OF_A_KIND for kind in KINDS)
    assert min(row.accuracy for row in rows) > 0.5

    tuned = trained(50, slice(600, 1200), deepcopy(owner), epochs=2, learning_rate=3e-4)
    copy = suspect_of(alice_actor, tuned, tmp_path, "copy")
    innocent = suspect_of(alice_actor, trained(99), tmp_path, "innocent")

    run = not_void(ran, alice_actor, version, copy, "agreement", probes=150)
    assert (run.verdict, run.evidence_class) == ("match", "indicative")
    assert run.p_value == 1 / 20 <= run.rule["alpha"]
    assert run.exchanges.count() == run.answered_probes == 150
    assert run.findings["ownerAccuracy"] > 0.5
    assert "not a proof" in run.reason
    assert ReferenceAnswers.objects.count() == 57
    assert ran(alice_actor, version, innocent, "agreement", probes=150).verdict != "match"

    # The pool's answers are used again, and another run asks other probes.
    run = not_void(ran, alice_actor, version, copy, "correlation", probes=150)
    assert (ProbeSet.objects.count(), ReferenceAnswers.objects.count()) == (1, 57)
    assert run.verdict == "match"
    assert ran(alice_actor, version, innocent, "correlation", probes=150).verdict != "match"

    run = not_void(ran, alice_actor, version, copy, "weights")
    assert (run.verdict, run.findings["relation"]) == ("match", "fine-tuned")
    assert run.exchanges.count() == 0
    assert {row["name"] for row in run.findings["layers"]} == {
        "body.1.weight", "body.3.weight", "head.weight",
    }  # fmt: skip
    run = ran(alice_actor, version, innocent, "weights")
    assert run.verdict != "match"
    assert run.findings["relation"] == "independent"

    # Had the pool been weak, the run would not have begun.
    Reference.objects.filter(number=0).update(accuracy=0.1)
    run = fingerprints.fingerprint_run_create(
        actor=alice_actor, suspect=innocent, version=version, dataset="small", method="weights"
    )
    tasks.run_job(str(run.job_id))
    run.refresh_from_db()
    assert (run.verdict, run.job.state) == ("inconclusive", Job.State.FAILED)
    assert "would stand out among such like a copy" in run.job.error


def test_a_model_that_knows_nothing_claims_nothing(alice_actor, tmp_path):
    version = version_of(alice_actor, fresh(CARD, 0), tmp_path)
    factories.reference_pool(alice_actor, version, dataset="small")
    run = fingerprints.fingerprint_run_create(
        actor=alice_actor, suspect=suspect_of(alice_actor, fresh(CARD, 1), tmp_path, "other"),
        version=version, dataset="small", method="agreement",
    )  # fmt: skip
    tasks.run_job(str(run.job_id))
    run.refresh_from_db()
    assert (run.verdict, run.job.state) == ("inconclusive", Job.State.FAILED)
    assert "where guessing gives 10.0% and a claim asks for 30.0%" in run.job.error
    assert not run.exchanges.exists()


def test_a_lost_worker_trains_no_model_twice(alice_actor, tmp_path, monkeypatch):
    version = version_of(alice_actor, fresh(CARD, 0), tmp_path)
    job = references.pool_grow(
        actor=alice_actor, version=version, dataset="small", images=600, of_a_kind=2, epochs=5
    )
    real, calls = pool_growth.fit, []

    def fit_twice(*arguments, **choices):
        calls.append(1)
        if len(calls) == 3:
            raise LeaseLostError
        return real(*arguments, **choices)

    monkeypatch.setattr(pool_growth, "fit", fit_twice)
    tasks.run_job(str(job.id))
    assert Reference.objects.count() == 2
    Job.objects.filter(id=job.id).update(state=Job.State.QUEUED, lease=None)
    tasks.run_job(str(job.id))
    job.refresh_from_db()
    assert job.state == Job.State.SUCCEEDED, job.error
    assert sorted(Reference.objects.values_list("number", flat=True)) == list(range(6))
    assert len(calls) == 3 + 4


def test_weak_models_are_left_out(alice_actor, tmp_path):
    version = version_of(alice_actor, trained(0), tmp_path)
    job = references.pool_grow(
        actor=alice_actor, version=version, dataset="small", images=20, of_a_kind=1, epochs=1
    )
    tasks.run_job(str(job.id))
    job.refresh_from_db()
    assert job.state == Job.State.FAILED
    assert "No model came near the owner's" in job.error
    assert not Reference.objects.exists()


def test_the_plan_mixes_kinds_and_architectures():
    payload = {"ofAKind": 6, "epochs": 1, "seed": 1}
    plan = list(pool_growth.planned(CARD, payload))
    kinds = {kind: [one.card for one in plan if one.kind == kind] for kind in KINDS}
    other, same, alike = kinds.values()
    assert set(alike) == set(other) == {CARD}
    assert CARD not in same
    assert len({one.architecture for one in same}) == 3
    assert len({one.recipe.seed for one in plan}) == len(plan)
    assert list(pool_growth.planned(CARD, payload)) == plan
    again = list(pool_growth.planned(CARD, payload | {"seed": 2}))
    assert not {one.recipe.seed for one in plan} & {one.recipe.seed for one in again}


def test_other_data_are_images_that_the_owner_has_not_seen():
    data = datasets.load("small")
    assert len(pool_growth.split_for("same data", data, 600)) == 600
    rest = pool_growth.split_for("other data", data, 600)
    assert (rest.images == data.train.images[600:]).all()
    # The owner has seen all: those that no probe comes from.
    rest = pool_growth.split_for("other data", data, None)
    assert (rest.images == data.test.images[800:]).all()
