"""What only shows between connections."""

import threading
import uuid
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from config.celery import app
from jobs.models import Job
from jobs.services import job_claim, jobs_sweep

WORKERS = 6

pytestmark = pytest.mark.usefixtures("committed")


@pytest.fixture
def job(monkeypatch) -> Job:
    monkeypatch.setattr(app, "send_task", lambda *args, **options: None)
    return Job.objects.create(organisation_id=uuid.uuid4(), kind="key-lock", queue="gpu")


def _all_at_once(work: Callable[[], object]) -> list[object]:
    """What each of the workers got, every one on its own connection."""
    start, found = threading.Barrier(WORKERS), []

    def run() -> None:
        connection.ensure_connection()
        start.wait(10)
        try:
            found.append(work())
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(WORKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(found) == WORKERS
    return found


def test_one_of_many_workers_gets_the_job(job):
    claimed = [held for held in _all_at_once(lambda: job_claim(job_id=job.id)) if held]
    assert len(claimed) == 1
    job.refresh_from_db()
    assert (job.attempts, job.lease) == (1, claimed[0].lease)


def test_many_sweeps_take_a_lost_job_up_once(job):
    job_claim(job_id=job.id)
    Job.objects.update(lease_expires_at=timezone.now() - timedelta(minutes=5))
    _all_at_once(jobs_sweep)
    job.refresh_from_db()
    assert job.state == "queued"
    assert job.lines.count() == 1
