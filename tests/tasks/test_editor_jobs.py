"""Editors as a worker trains them: a few steps, which make a real file but hardly an editor."""

from pathlib import Path

import pytest

import tasks
from jobs.models import Job, SealedSecret
from jobs.services import LeaseLostError
from protection.editors import editor_path, editor_train
from protection.models import Editor
from spellmark.locks.prompt_lock import train_editor
from spellmark.locks.prompt_lock.editor_file import check_editor_file
from spellmark.locks.prompt_lock.train_editor import Schooling
from spellmark.secrets import KeyFile
from tasks import editor_training
from tests.tasks.test_verification_jobs import blots, one_connection, one_thread

__all__ = ["blots", "one_connection", "one_thread"]

pytestmark = pytest.mark.slow

KEY = KeyFile("tiny-editor/v1", {}, bytes(range(32)), bytes(range(32, 64)))


@pytest.fixture(autouse=True)
def small_batches(monkeypatch) -> None:
    monkeypatch.setattr(train_editor, "OWNERS", Schooling(batch=4, learning_rate=1e-3))
    monkeypatch.setattr(train_editor, "REPORTED", 8)


def _start(actor, name: str = "ours", **changes) -> Editor:
    wanted = {"key": KEY, "dataset": "blots", "steps": 20} | changes
    return editor_train(actor=actor, name=name, **wanted)


def _run(editor: Editor) -> list[str]:
    tasks.run_job(str(editor.job_id))
    editor.refresh_from_db()
    return [line.text.partition(":")[0] for line in editor.job.lines.all()]


def test_a_key_makes_an_editor_and_is_erased(alice_actor, settings):
    editor = _start(alice_actor)
    assert _run(editor) == ["step 8 of 20", "step 16 of 20", "step 20 of 20"]
    assert editor.job.state == Job.State.SUCCEEDED, editor.job.error
    check_editor_file(editor_path(alice_actor.organisation.id, editor.digest))
    assert not SealedSecret.objects.exists()
    # What could be used without its owner stays nowhere else.
    assert not [path for path in Path(settings.SCRATCH).rglob("*") if path.is_file()]

    again = _start(alice_actor, "again")
    _run(again)
    assert again.job.state == Job.State.FAILED
    assert "has this very editor already" in again.job.error
    assert not SealedSecret.objects.exists()


def test_a_lost_worker_leaves_what_it_had_done(alice_actor, monkeypatch):
    editor, train = _start(alice_actor), editor_training.train_owners

    def dies_at_step_16(*arguments, progress, **options) -> None:
        def show(share: float, step: str) -> None:
            progress(share, step)
            if "step 16" in step:
                raise LeaseLostError

        train(*arguments, progress=show, **options)

    monkeypatch.setattr(editor_training, "train_owners", dies_at_step_16)
    _run(editor)
    assert editor.job.state == Job.State.RUNNING
    Job.objects.update(state=Job.State.QUEUED, lease=None, lease_expires_at=None)
    monkeypatch.setattr(editor_training, "train_owners", train)
    assert _run(editor) == ["step 8 of 20", "step 16 of 20", "step 20 of 20"]
    assert editor.job.state == Job.State.SUCCEEDED, editor.job.error


def test_photos_that_are_not_there_are_told(alice_actor):
    editor = _start(alice_actor, dataset="nowhere")
    _run(editor)
    assert editor.job.state == Job.State.FAILED
    assert "no data set named" in editor.job.error
    assert editor.digest == ""
