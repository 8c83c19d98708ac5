"""Runs as a worker makes them, against model files that were really locked."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import tasks
from accounts.actors import Actor
from jobs.models import Job, SealedSecret
from ledger.selectors import trust
from ledger.services import ledger_sequence
from protection.models import Protection
from spellmark.certificates.verify import verify_files
from spellmark.locks.key_lock.lock import lock
from spellmark.secrets import KeyFile
from spellmark.training import datasets, weights
from spellmark.training.architectures import build
from spellmark.training.fit import Recipe, fit
from tasks import work
from tasks.lock import opened_key
from tests import factories
from verification import services
from verification.models import Run
from verification.selectors import run_bundle

pytestmark = pytest.mark.slow

CARD = factories.CARD


@pytest.fixture(autouse=True)
def one_connection(settings, monkeypatch) -> None:
    """The heartbeat has a connection of its own, which cannot see into a test's transaction."""
    settings.JOB_LEASE_SECONDS = 3600
    monkeypatch.setattr(work, "BEAT_SECONDS", 3600)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def blots(tmp_path: Path, monkeypatch) -> None:
    """A data set that a network learns at once: each class is a noisy pattern of its own."""
    generator = np.random.default_rng(0)
    patterns = generator.integers(0, 256, (CARD.classes, CARD.height, CARD.width))
    arrays = {}
    for split, count in (("train", 1500), ("test", 200)):
        labels = np.arange(count) % CARD.classes
        noise = generator.normal(0, 40, (count, CARD.height, CARD.width))
        images = (patterns[labels] + noise).clip(0, 255).astype(np.uint8)
        arrays |= {f"{split}_images": images, f"{split}_labels": labels}
    np.savez(tmp_path / "blots.npz", **arrays)
    monkeypatch.setenv("SPELLMARK_DATA", str(tmp_path))


def protected(actor: Actor, key: KeyFile) -> Protection:
    protection = factories.finished_protection(actor, key=key)
    protection.dataset = "blots"
    protection.save(update_fields=["dataset"])
    return protection


def suspect_of(actor: Actor, model: torch.nn.Module, folder: Path):
    path = folder / "suspect.safetensors"
    weights.save(model, CARD, path)
    return services.suspect_file_create(actor=actor, name="found", chunks=[path.read_bytes()])


def innocent() -> torch.nn.Module:
    torch.manual_seed(0)
    return fit(build(CARD), CARD, datasets.load("blots").train, Recipe(epochs=3))


def stolen(protection: Protection, key: KeyFile) -> torch.nn.Module:
    opened = opened_key(protection.source, protection.commitment, key)
    return lock(innocent(), CARD, datasets.load("blots").train, opened, Recipe(epochs=6))


def ran(actor: Actor, protection: Protection, key: KeyFile, suspect, **choices) -> Run:
    run = services.run_create(
        actor=actor, suspect=suspect, protection=protection, key=key, **choices
    )
    tasks.run_job(str(run.job_id))
    run.refresh_from_db()
    assert run.job.state == Job.State.SUCCEEDED, run.job.error
    assert not SealedSecret.objects.exists()
    ledger_sequence()
    report = verify_files(run_bundle(run), trust())
    assert report.passed, report.checks
    return run


@pytest.mark.parametrize("subkeys", [1, 2])
def test_keyed_labels_tell_a_copy_from_an_innocent(alice_actor: Actor, tmp_path: Path, subkeys):
    key = factories.key_file(subkeys=subkeys)
    protection = protected(alice_actor, key)
    copy = suspect_of(alice_actor, stolen(protection, key), tmp_path)
    run = ran(alice_actor, protection, key, copy)
    assert (run.method, run.verdict, run.rule["alpha"]) == ("keyed-labels", "match", 1e-6)
    assert run.p_value <= 1e-6
    assert run.exchanges.count() == 64
    assert {len(line["labels"]) for line in run.exchanges.values_list("line", flat=True)} == {
        subkeys
    }
    other = suspect_of(alice_actor, innocent(), tmp_path)
    run = ran(alice_actor, protection, key, other)
    assert run.verdict in ("no match", "inconclusive")


def test_the_random_key_test_sees_a_keyed_label_lock_too(alice_actor: Actor, tmp_path: Path):
    protection = protected(alice_actor, factories.KEY)
    copy = suspect_of(alice_actor, stolen(protection, factories.KEY), tmp_path)
    choices = {"method": "random-key-test", "decoys": 99, "probes": 20}
    run = ran(alice_actor, protection, factories.KEY, copy, **choices)
    assert (run.verdict, run.p_value, len(run.hits)) == ("match", 0.01, 100)


def test_classes_that_the_data_does_not_show_break_the_run_off(alice_actor: Actor, tmp_path: Path):
    protection = protected(alice_actor, factories.KEY)
    data = datasets.load("blots")
    arrays = {"train_images": data.train.images, "train_labels": data.train.labels % 5,
              "test_images": data.test.images, "test_labels": data.test.labels % 5}  # fmt: skip
    np.savez(tmp_path / "blots.npz", **arrays)
    suspect = suspect_of(alice_actor, build(CARD), tmp_path)
    run = services.run_create(
        actor=alice_actor, suspect=suspect, protection=protection, key=factories.KEY
    )
    tasks.run_job(str(run.job_id))
    run.refresh_from_db()
    assert (run.verdict, run.exchanges.count()) == ("inconclusive", 0)
    assert "show 5 classes; the run asks for 10" in run.reason
