import uuid
from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from config.celery import app
from jobs.models import Job, JobLine, SealedSecret
from jobs.selectors import job_list
from jobs.services import (
    CancelledError,
    JobError,
    LeaseLostError,
    job_cancel,
    job_claim,
    job_create,
    job_fail,
    job_finish,
    job_log,
    job_progress,
    job_renew,
    job_stop,
    jobs_sweep,
)

SECRET = {"key": "the owner's own words"}
LONG_AGO = timedelta(minutes=5)

pytestmark = pytest.mark.django_db


@pytest.fixture
def sent(monkeypatch) -> list[tuple[str, list[str], str]]:
    """The messages that left for the broker."""
    messages = []

    def send_task(name, args=(), *, queue, **options):
        messages.append((name, list(args), queue))

    monkeypatch.setattr(app, "send_task", send_task)
    return messages


@pytest.fixture
def broker_down(monkeypatch) -> None:
    def send_task(*args, **options):
        raise ConnectionError("the broker is away")

    monkeypatch.setattr(app, "send_task", send_task)


def _job(**choices) -> Job:
    asked = {
        "organisation_id": uuid.uuid4(),
        "kind": "key-lock",
        "title": "Lock robin v1",
        "queue": "gpu",
        "payload": {"protection": "1"},
        "created_by": "alice@example.org",
        "secret": SECRET,
    }
    return job_create(**(asked | choices))


def _running(**choices) -> Job:
    job = job_claim(job_id=_job(**choices).id)
    assert job is not None
    return job


def _lose(job: Job) -> None:
    """Let the lease of a job run out."""
    Job.objects.filter(id=job.id).update(lease_expires_at=timezone.now() - LONG_AGO)


def _told(job: Job) -> list[str]:
    return [line.text for line in job.lines.all()]


def test_a_job_goes_from_the_queue_through_a_worker_to_its_end():
    job = _job()
    assert (job.state, job.attempts, job.is_over) == ("queued", 0, False)
    held = job_claim(job_id=job.id)
    assert (held.state, held.attempts, held.is_over) == ("running", 1, False)
    assert held.started_at
    assert held.lease_expires_at > timezone.now()
    job_progress(job=held, share=0.5, step="epoch 1 of 2")
    job_log(job=held, text="loss 0.1")
    job.refresh_from_db()
    assert (job.progress, job.step) == (0.5, "epoch 1 of 2")
    recorded = []
    job_finish(job=held, record=lambda: recorded.append("once"))
    job.refresh_from_db()
    assert (job.state, job.progress, job.step, job.is_over) == ("succeeded", 1, "", True)
    assert (job.lease, recorded, _told(job)) == (None, ["once"], ["loss 0.1"])
    assert job.finished_at >= held.started_at


def test_a_failure_says_what_to_do():
    job = _running()
    job_fail(job=job, error="The data set does not fit.", hint="Choose another.")
    job.refresh_from_db()
    assert (job.state, job.error, job.hint) == (
        "failed", "The data set does not fit.", "Choose another.",
    )  # fmt: skip
    assert job.is_over


def test_a_job_is_claimed_once():
    job = _job()
    assert job_claim(job_id=job.id) is not None
    assert job_claim(job_id=job.id) is None
    assert job_claim(job_id=uuid.uuid4()) is None
    job.refresh_from_db()
    assert job.attempts == 1


@pytest.mark.parametrize(
    "end", [job_finish, job_stop, lambda job: job_fail(job=job, error="", hint="")]
)
def test_what_is_over_is_not_claimed_again(end):
    job = _running()
    end(job=job)
    assert job_claim(job_id=job.id) is None


@pytest.mark.parametrize(
    "write",
    [
        lambda job: job_renew(job=job),
        lambda job: job_progress(job=job, share=0.9, step="late"),
        lambda job: job_finish(job=job),
        lambda job: job_fail(job=job, error="late", hint=""),
        lambda job: job_stop(job=job),
    ],
    ids=["renew", "progress", "finish", "fail", "stop"],
)
def test_who_lost_the_lease_can_write_nothing(write, sent):
    slow = _running()
    _lose(slow)
    jobs_sweep()
    quick = job_claim(job_id=slow.id)
    assert quick.lease != slow.lease
    before = Job.objects.values().get()
    with pytest.raises(LeaseLostError):
        write(slow)
    assert Job.objects.values().get() == before
    assert SealedSecret.objects.filter(job=quick).exists()
    job_finish(job=quick)


def test_results_are_not_recorded_by_who_lost_the_lease(sent):
    slow = _running()
    _lose(slow)
    jobs_sweep()
    with pytest.raises(LeaseLostError):
        job_finish(job=slow, record=lambda: pytest.fail("it was recorded"))


def test_a_job_whose_results_do_not_fit_is_not_finished():
    job = _running()

    def record():
        JobLine.objects.create(job=job, text="half a result")
        raise ValueError("the other half")

    with pytest.raises(ValueError, match="other half"):
        job_finish(job=job, record=record)
    job.refresh_from_db()
    assert (job.state, _told(job)) == ("running", [])
    assert SealedSecret.objects.filter(job=job).exists()


def test_a_heartbeat_renews_the_lease():
    job = _running()
    _lose(job)
    job_renew(job=job)
    jobs_sweep()
    job.refresh_from_db()
    assert (job.state, job.attempts) == ("running", 1)


def test_a_waiting_job_is_cancelled_at_once():
    job = _job()
    job_cancel(job=job, by="bob@example.org")
    job.refresh_from_db()
    assert (job.state, job.is_over, _told(job)) == (
        "cancelled", True, ["cancelled by bob@example.org"],
    )  # fmt: skip
    assert job.finished_at
    assert job_claim(job_id=job.id) is None


def test_a_running_job_hears_of_its_cancellation_at_its_heartbeat():
    job = _running()
    job_cancel(job=job, by="bob@example.org")
    job.refresh_from_db()
    assert job.state == "running"
    with pytest.raises(CancelledError):
        job_renew(job=job)
    job_stop(job=job)
    job.refresh_from_db()
    assert job.state == "cancelled"


def test_what_is_over_cannot_be_cancelled():
    job = _running()
    job_finish(job=job)
    with pytest.raises(JobError, match="is over"):
        job_cancel(job=job, by="bob@example.org")
    assert _told(job) == []


def test_the_sweep_takes_up_the_job_of_a_lost_worker(sent):
    job = _running()
    _lose(job)
    jobs_sweep()
    job.refresh_from_db()
    assert (job.state, job.lease, job.is_over) == ("queued", None, False)
    assert _told(job) == ["its worker was lost; the job is taken up again"]
    assert sent == [("tasks.run_job", [str(job.id)], "gpu")]
    assert job_claim(job_id=job.id).attempts == 2


def test_the_sweep_leaves_alone_who_holds_a_lease(sent):
    job = _running()
    jobs_sweep()
    job.refresh_from_db()
    assert (job.state, sent) == ("running", [])


def test_the_sweep_gives_up_after_so_many_attempts(sent, settings):
    settings.JOB_MAX_ATTEMPTS = 2
    job = _running()
    _lose(job)
    jobs_sweep()
    job_claim(job_id=job.id)
    _lose(job)
    jobs_sweep()
    job.refresh_from_db()
    assert (job.state, job.attempts) == ("failed", 2)
    assert "lost 2 times" in job.error
    assert job.hint
    assert not SealedSecret.objects.exists()


def test_a_lost_job_that_was_cancelled_is_not_taken_up(sent):
    job = _running()
    job_cancel(job=job, by="bob@example.org")
    _lose(job)
    jobs_sweep()
    job.refresh_from_db()
    assert (job.state, sent) == ("cancelled", [])
    assert job.finished_at
    assert not SealedSecret.objects.exists()


def test_a_job_is_sent_when_its_transaction_commits(sent, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        job = _job(queue="egress")
        assert sent == []
    assert sent == [("tasks.run_job", [str(job.id)], "egress")]


def test_a_message_holds_nothing_but_the_jobs_id(monkeypatch, django_capture_on_commit_callbacks):
    messages = []
    monkeypatch.setattr(app, "send_task", lambda *a, **k: messages.append(repr((a, k))))
    with django_capture_on_commit_callbacks(execute=True):
        job = _job()
    assert str(job.id) in messages[0]
    assert SECRET["key"] not in messages[0]


def test_a_job_that_rolls_back_is_not_sent(sent, django_capture_on_commit_callbacks):
    with (
        django_capture_on_commit_callbacks(execute=True),
        pytest.raises(ValueError, match="no"),
        transaction.atomic(),
    ):
        _job()
        raise ValueError("no")
    assert (sent, Job.objects.count(), SealedSecret.objects.count()) == ([], 0, 0)


def test_a_job_is_not_lost_when_the_broker_is_away(
    broker_down, monkeypatch, django_capture_on_commit_callbacks, caplog
):
    with django_capture_on_commit_callbacks(execute=True):
        job = _job()
    assert "the broker is away" in caplog.text
    messages = []
    monkeypatch.setattr(app, "send_task", lambda name, args, **k: messages.append(args))
    jobs_sweep()
    assert messages == [], "its message may still be on the way"
    Job.objects.update(sent_at=timezone.now() - LONG_AGO)
    jobs_sweep()
    jobs_sweep()
    assert messages == [[str(job.id)]]


def test_a_job_whose_maker_died_before_sending_is_sent_by_the_sweep(sent):
    job = _job()  # its message waits for a commit that never comes
    jobs_sweep()
    assert sent == []
    Job.objects.update(created_at=timezone.now() - LONG_AGO)
    jobs_sweep()
    assert sent == [("tasks.run_job", [str(job.id)], "gpu")]


def test_the_sweep_does_not_send_what_runs_or_is_over(sent):
    _running()
    job_cancel(job=_job(), by="bob@example.org")
    Job.objects.update(sent_at=timezone.now() - LONG_AGO, created_at=timezone.now() - LONG_AGO)
    jobs_sweep()
    assert sent == []


def test_progress_stays_a_share():
    job = _running()
    for share, shown in ((-1, 0), (7, 1), (0.25, 0.25)):
        job_progress(job=job, share=share, step="x" * 1000)
        job.refresh_from_db()
        assert (job.progress, len(job.step)) == (shown, 200)
    with pytest.raises(IntegrityError, match="progress_is_a_share"), transaction.atomic():
        Job.objects.update(progress=1.5)


def test_the_database_asks_a_lease_of_a_running_job():
    _job()
    with pytest.raises(IntegrityError, match="has_a_lease"), transaction.atomic():
        Job.objects.update(state="running")


def test_jobs_are_listed_within_one_organisation():
    mine, yours = _job(), _job()
    assert list(job_list(organisation_id=mine.organisation_id)) == [mine]
    assert list(job_list(organisation_id=yours.organisation_id)) == [yours]
