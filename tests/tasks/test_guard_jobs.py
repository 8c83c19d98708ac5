"""Guards as a worker measures them, on a model that was really trained."""

import numpy as np
import pytest

import tasks
from jobs.models import Job, SealedSecret
from ledger.keys import ensure_signing_keys
from protection.guards import guard_configuration, guard_create
from protection.models import Protection
from registry import storage
from registry.services import (
    commitment_create,
    file_upload,
    model_create,
    version_create,
    version_publish,
)
from spellmark.training import datasets, weights
from spellmark.training.inference import predict_probabilities
from tests import factories
from tests.tasks.test_verification_jobs import CARD, blots, innocent, one_connection, one_thread

__all__ = ["blots", "one_connection", "one_thread"]

pytestmark = pytest.mark.slow


def measured(actor, folder, *, dataset: str = "blots", top_k: int | None = None, **choices: int):
    """A guard of an innocent model, and the key file with these parameters."""
    ensure_signing_keys()
    path, key = folder / "model.safetensors", factories.guard_key(**choices)
    weights.save(innocent(), CARD, path)
    version = version_create(actor=actor, model=model_create(actor=actor, name="robin"))
    file_upload(actor=actor, version=version, name=path.name, chunks=[path.read_bytes()])
    version = version_publish(actor=actor, version=version)
    commitment = commitment_create(
        actor=actor, version=version, digest=key.commitment(), scheme=key.scheme,
        parameters=key.parameters,
    )  # fmt: skip
    guard = guard_create(
        actor=actor, commitment=commitment, key=key, dataset=dataset, images=600, top_k=top_k
    )
    tasks.run_job(str(guard.job_id))
    guard.refresh_from_db()
    assert not SealedSecret.objects.exists()
    return guard, key


def test_a_guard_is_measured_and_its_key_erased(alice_actor, tmp_path):
    guard, key = measured(alice_actor, tmp_path)
    assert guard.job.state == Job.State.SUCCEEDED, guard.job.error
    report = guard.report_card
    assert report["accuracy_before"] == report["accuracy_after"] > 0.5
    assert (report["labels_changed"], report["test_images"]) == (0, 200)
    assert (report["strength"], report["tail_bits"], report["label_bits"]) == (50, 90, 0)
    assert 0 < report["l1"] <= 0.1
    assert 0 < report["confidence_before"] - report["confidence_after"] <= 0.05
    assert guard.settings["thresholds"] is None
    copies = [weights.load(storage.path_of(one)) for one in guard.settings["references"]]
    assert [card.architecture for _, card in copies] == ["small-resnet", "small-mlp"]
    test = datasets.load("blots").test
    for copy in copies:
        right = predict_probabilities(*copy, test.images).argmax(1) == test.labels
        assert right.mean() > 0.5
    assert guard.protected_version == guard.source
    rows = str([*Protection.objects.values(), *guard.job.lines.values(), *Job.objects.values()])
    assert key.secret.hex() not in rows


def test_cells_are_cut_where_the_servers_guard_cuts_them(alice_actor, tmp_path):
    guard, key = measured(alice_actor, tmp_path, cells=4, strength=200, label_margin=100, top_k=9)
    assert guard.job.state == Job.State.SUCCEEDED, guard.job.error
    file = guard_configuration(actor=alice_actor, guard=guard, key=key)
    assert file.thresholds.shape == (10, 2)
    served = file.guard()
    model, test = innocent(), datasets.load("blots").test
    before = predict_probabilities(model, CARD, test.images)
    after = served(before, test.images)
    assert guard.report_card["l1"] == pytest.approx(np.abs(after - before).sum(1).mean(), rel=0.01)
    changed = (after.argmax(1) != before.argmax(1)).mean()
    assert guard.report_card["labels_changed"] == pytest.approx(changed)
    assert any("into 4 cells" in line.text for line in guard.job.lines.all())


def test_images_that_are_not_there_are_told(alice_actor, tmp_path):
    guard, _ = measured(alice_actor, tmp_path, dataset="nowhere")
    assert guard.job.state == Job.State.FAILED
    assert "no data set named" in guard.job.error
    assert (guard.report_card, guard.valid_from) == (None, None)
