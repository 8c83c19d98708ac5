"""What beat has done for the ledger."""

from pathlib import Path

import tasks  # noqa: F401 - its import makes the tasks known
from config.celery import app
from ledger.keys import ensure_signing_keys
from ledger.selectors import checkpoint_latest
from ledger.services import entries_queue, ledger_sequence


def _scheduled(name: str) -> None:
    (row,) = [row for title, row in app.conf.beat_schedule.items() if title == name]
    app.tasks[row["task"]]()


def test_tiles_are_written_out_by_a_task_of_their_own(db, settings, tmp_path):
    settings.LOG_TILES = str(tmp_path)
    ensure_signing_keys()
    entries_queue(bodies=[b"{}"])
    ledger_sequence()
    assert not list(Path(tmp_path).iterdir())
    _scheduled("export tiles")
    assert (tmp_path / "checkpoint").read_bytes() == bytes(checkpoint_latest().note)
