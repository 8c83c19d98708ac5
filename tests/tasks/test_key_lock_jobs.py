"""Locks and attacks as a worker makes them, with the library's own training and attacks."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import tasks
from accounts.actors import Actor
from jobs.models import Job, SealedSecret
from jobs.services import LeaseLostError
from protection.models import Protection
from protection.services import attacks_create, key_lock_create
from registry import storage
from registry.services import commitment_create
from spellmark.locks.key_lock import report_card as card_module
from spellmark.locks.key_lock import settings as key_lock_settings
from spellmark.locks.locksmith import SEED_FIGURES
from spellmark.model_files.card import ModelCard
from spellmark.secrets import KeyFile
from spellmark.training import architectures, weights
from tasks import lock as lock_job
from tasks import work
from tests import factories

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def one_connection(settings, monkeypatch):
    """The heartbeat has a connection of its own, which cannot see into a test's transaction."""
    settings.JOB_LEASE_SECONDS = 3600
    monkeypatch.setattr(work, "BEAT_SECONDS", 3600)


@pytest.fixture(autouse=True)
def few_wrong_keys(monkeypatch) -> None:
    monkeypatch.setattr(key_lock_settings, "LEAST_WRONG_KEYS", 1)


@pytest.fixture(autouse=True)
def bars(tmp_path: Path, monkeypatch) -> None:
    """A data set that a network learns at once: each class is a bright bar at its own place."""
    generator = np.random.default_rng(0)
    arrays = {}
    for split, count in (("train", 600), ("test", 60)):
        labels = np.arange(count) % 10
        images = generator.integers(0, 60, (count, 8, 8), np.uint8)
        for image, label in zip(images, labels, strict=True):
            half = image[:, label % 8] if label < 8 else image[2 * (label - 8) + 1]
            half[:] = 250
        arrays |= {f"{split}_images": images, f"{split}_labels": labels}
    np.savez(tmp_path / "bars.npz", **arrays)
    monkeypatch.setenv("SPELLMARK_DATA", str(tmp_path))
    torch.set_num_threads(1)


def _lock(actor: Actor, key: KeyFile = factories.KEY, **settings: int) -> Protection:
    commitment = commitment_create(
        actor=actor,
        version=factories.published_version(actor),
        digest=key.commitment(),
        scheme=key.scheme,
        parameters=key.parameters,
    )
    wanted = {"epochs": 2, "images": 300, "wrong_keys": 20, "seeds": 2} | settings
    return key_lock_create(actor=actor, commitment=commitment, key=key, dataset="bars", **wanted)


def _run(row) -> None:
    tasks.run_job(str(row.job_id))
    row.refresh_from_db()


def _lines(job: Job) -> list[str]:
    return [line.text for line in job.lines.all()]


def test_a_lock_job_registers_the_first_seeds_model_and_reports_all(alice_actor: Actor):
    protection = _lock(alice_actor)
    _run(protection)
    assert protection.job.state == Job.State.SUCCEEDED, protection.job.error
    assert (protection.result.number, protection.result.parent) == (2, protection.source)
    assert "Locked" in protection.result.card["description"]
    report = protection.report_card
    assert report["wrong_keys"] == len(report["wrong"]) == 20
    assert [set(seed) for seed in report["seeds"]] == [set(SEED_FIGURES)] * 2
    assert report["seeds"][0] == {name: report[name] for name in SEED_FIGURES}
    assert not SealedSecret.objects.exists()
    # The registered weights are those that were measured first.
    file = protection.result.files.get()
    model, card = weights.load(storage.path_of(file.sha256))
    again = card_module.report_card(
        model,
        weights.load(lock_job.model_path(protection.source))[0],
        card,
        lock_job.data_for(protection.source, "bars").test,
        lock_job.opened_key(protection.source, protection.commitment, factories.KEY),
        wrong_keys=1,
    )
    assert (again.right, again.plain) == (report["right"], report["plain"])


def test_a_lost_worker_leaves_what_it_had_done(alice_actor: Actor, monkeypatch):
    protection = _lock(alice_actor)
    measure = card_module.report_card

    def dies_at_the_second(*arguments, **options):
        report = measure(*arguments, **options)
        if any("training 2" in line for line in _lines(protection.job)):
            raise LeaseLostError
        return report

    monkeypatch.setattr(card_module, "report_card", dies_at_the_second)
    _run(protection)
    assert protection.job.state == Job.State.RUNNING
    Job.objects.update(state=Job.State.QUEUED, lease=None, lease_expires_at=None)
    monkeypatch.setattr(card_module, "report_card", measure)
    _run(protection)
    assert protection.job.state == Job.State.SUCCEEDED, protection.job.error
    lines = _lines(protection.job)
    for training in (1, 2):
        for epoch in (1, 2):
            told = f"training {training}, epoch {epoch} of 2: loss"
            assert sum(line.startswith(told) for line in lines) == 1, lines
    assert sum(line.startswith("training 1: right key") for line in lines) == 1


def test_the_attacks_are_measured_and_the_key_erased(alice_actor: Actor):
    protection = _lock(alice_actor, seeds=1)
    _run(protection)
    wanted = ["random-keys", "known-plaintext", "fine-tune"]
    rehearsal = attacks_create(
        actor=alice_actor,
        protection=protection,
        key=factories.KEY,
        dataset="bars",
        attacks=wanted,
    )
    _run(rehearsal)
    assert rehearsal.job.state == Job.State.SUCCEEDED, rehearsal.job.error
    names = {one["name"] for one in rehearsal.results}
    assert {"random-keys", "known-plaintext", "fine-tune-locked", "from-scratch"} <= names
    for one in rehearsal.results:
        assert 0 <= one["accuracy"] <= 1
        assert one["seconds"] >= 0
    known = next(one for one in rehearsal.results if one["name"] == "known-plaintext")
    # Who sees images both plain and locked has the key.
    assert known["accuracy"] >= protection.report_card["right"] - 0.05
    assert not SealedSecret.objects.exists()


def test_an_attack_that_does_not_suit_the_model_is_left_out(alice_actor: Actor, monkeypatch):
    """A network without batch normalisation keeps no statistics that could be matched."""

    def linear(card: ModelCard) -> Callable[[], nn.Module]:
        pixels = card.height * card.width
        return lambda: nn.Sequential(nn.Flatten(), nn.Linear(pixels, card.classes))

    monkeypatch.setitem(architectures.ARCHITECTURES, "linear", linear)
    monkeypatch.setattr(factories, "CARD", replace(factories.CARD, architecture="linear"))
    protection = _lock(alice_actor, seeds=1, epochs=1)
    _run(protection)
    assert protection.job.state == Job.State.SUCCEEDED, protection.job.error
    wanted = {"actor": alice_actor, "protection": protection, "key": factories.KEY}
    both = attacks_create(**wanted, dataset="bars", attacks=["batch-norm", "known-plaintext"])
    _run(both)
    assert [one["name"] for one in both.results] == ["known-plaintext"]
    assert "batch-norm: The model has no batch normalisation" in " ".join(_lines(both.job))
    alone = attacks_create(**wanted, dataset="bars", attacks=["batch-norm"])
    _run(alone)
    assert alone.job.state == Job.State.FAILED
    assert "None of these attacks" in alone.job.error
    elsewhere = attacks_create(**wanted, dataset="nowhere", attacks=["batch-norm"])
    _run(elsewhere)
    assert "no data set named" in elsewhere.job.error
    assert (alone.results, elsewhere.results) == (None, None)
