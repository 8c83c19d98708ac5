"""What changes jobs. A worker's writes all name its lease: one that lost it can change nothing."""

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from config.celery import app
from jobs.models import Job, JobLine, SealedSecret
from jobs.sealing import seal
from spellmark.errors import SpellmarkError

# A message is lost only when the broker is; until then another one would only wait beside it.
RESEND_AFTER = timedelta(minutes=2)


class JobError(SpellmarkError):
    """A request that does not fit the job's state."""


class LeaseLostError(Exception):
    """Another worker holds the job now; this one must stop."""


class CancelledError(Exception):
    """Somebody asked for the job to stop."""


@transaction.atomic
def job_create(
    *,
    organisation_id: uuid.UUID,
    kind: str,
    title: str,
    queue: str,
    payload: dict[str, Any],
    created_by: str,
    secret: dict[str, Any] | None = None,
) -> Job:
    """Queue a job; its message leaves when the transaction commits."""
    job = Job.objects.create(
        organisation_id=organisation_id,
        kind=kind,
        title=title[:200],
        queue=queue,
        payload=payload,
        created_by=created_by,
    )
    if secret is not None:
        seal(job, secret)
    transaction.on_commit(lambda: job_send(job=job), robust=True)
    return job


def job_send(*, job: Job) -> None:
    """Tell the workers. Where the broker is away, the sweep sends again later."""
    Job.objects.filter(id=job.id).update(sent_at=timezone.now())
    app.send_task("tasks.run_job", [str(job.id)], queue=job.queue, retry=False)


def job_cancel(*, job: Job, by: str) -> None:
    """Stop a job: at once if it waits, at its next step if it runs. Raises JobError."""
    waiting = Job.objects.filter(id=job.id, state=Job.State.QUEUED)
    if waiting.update(state=Job.State.CANCELLED, finished_at=timezone.now(), step=""):
        SealedSecret.objects.filter(job=job).delete()
    elif not Job.objects.filter(id=job.id, state=Job.State.RUNNING).update(cancel_requested=True):
        raise JobError("This job is over.", hint="Start a new one if it is still wanted.")
    JobLine.objects.create(job=job, text=f"cancelled by {by}")


def job_claim(*, job_id: uuid.UUID) -> Job | None:
    """Take a waiting job for this worker, or None when it is not to be had."""
    claimed = Job.objects.filter(id=job_id, state=Job.State.QUEUED).update(
        state=Job.State.RUNNING,
        lease=uuid.uuid4(),
        lease_expires_at=_lease_end(),
        started_at=timezone.now(),
        attempts=F("attempts") + 1,
    )
    return Job.objects.get(id=job_id) if claimed else None


def job_renew(*, job: Job) -> None:
    """The worker's heartbeat. Raises LeaseLostError or CancelledError."""
    _update_held(job, lease_expires_at=_lease_end())
    if Job.objects.filter(id=job.id, cancel_requested=True).exists():
        raise CancelledError


def job_hold(*, job: Job) -> None:
    """Keep the job from being taken up elsewhere until the caller's transaction ends.

    Raises LeaseLostError when this worker holds it no longer.
    """
    held = Job.objects.select_for_update().filter(
        id=job.id, lease=job.lease, state=Job.State.RUNNING
    )
    if held.first() is None:
        raise LeaseLostError


def job_progress(*, job: Job, share: float, step: str) -> None:
    """Show how far the job is: `share` in [0, 1] and what it does. Raises LeaseLostError."""
    _update_held(job, progress=min(max(share, 0), 1), step=step[:200])


def job_log(*, job: Job, text: str) -> None:
    """Add a line to the job's log."""
    JobLine.objects.create(job=job, text=text[:500])


@transaction.atomic
def job_finish(*, job: Job, record: Callable[[], None] = lambda: None) -> None:
    """End a job well. `record` writes its results in the same transaction, once."""
    _update_held(
        job, state=Job.State.SUCCEEDED, finished_at=timezone.now(), progress=1, step="", lease=None
    )
    SealedSecret.objects.filter(job=job).delete()
    record()


@transaction.atomic
def job_fail(*, job: Job, error: str, hint: str, record: Callable[[], None] = lambda: None) -> None:
    """End a job badly, with what the user can do about it."""
    _update_held(
        job,
        state=Job.State.FAILED,
        finished_at=timezone.now(),
        error=error,
        hint=hint,
        step="",
        lease=None,
    )
    SealedSecret.objects.filter(job=job).delete()
    record()


@transaction.atomic
def job_stop(*, job: Job) -> None:
    """End a job whose cancellation its worker has seen."""
    _update_held(job, state=Job.State.CANCELLED, finished_at=timezone.now(), step="", lease=None)
    SealedSecret.objects.filter(job=job).delete()


def jobs_sweep() -> None:
    """Take up jobs whose worker was lost, and send again those whose message may be lost."""
    now = timezone.now()
    lost = Job.objects.filter(state=Job.State.RUNNING, lease_expires_at__lt=now)
    for job in lost:
        held = Job.objects.filter(id=job.id, lease=job.lease, lease_expires_at__lt=now)
        if job.cancel_requested:
            with transaction.atomic():
                over = Job.State.CANCELLED
                if held.update(state=over, finished_at=now, step="", lease=None):
                    SealedSecret.objects.filter(job=job).delete()
        elif job.attempts >= settings.JOB_MAX_ATTEMPTS:
            with transaction.atomic():
                given_up = held.update(
                    state=Job.State.FAILED,
                    finished_at=now,
                    lease=None,
                    error=f"The worker was lost {job.attempts} times while it ran this job.",
                    hint="Look at the worker's memory and its log, then start the job again.",
                )
                if given_up:
                    SealedSecret.objects.filter(job=job).delete()
        elif held.update(state=Job.State.QUEUED, lease=None, lease_expires_at=None):
            job_log(job=job, text="its worker was lost; the job is taken up again")
            job_send(job=job)
    # One without a time was created by a process that died before it could send.
    late = now - RESEND_AFTER
    unsent = Q(sent_at__lt=late) | Q(sent_at=None, created_at__lt=late)
    for job in Job.objects.filter(unsent, state=Job.State.QUEUED):
        job_send(job=job)


def _update_held(job: Job, **fields: Any) -> None:
    held = Job.objects.filter(id=job.id, lease=job.lease, state=Job.State.RUNNING)
    if not held.update(**fields):
        raise LeaseLostError


def _lease_end() -> Any:
    return timezone.now() + timedelta(seconds=settings.JOB_LEASE_SECONDS)
