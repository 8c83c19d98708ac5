"""A job: something that takes long, with its state, lease, progress and log lines."""

import uuid

from django.db import models


class Job(models.Model):
    """One piece of work for a worker. `payload` holds ids and settings, never a secret."""

    class State(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        SUCCEEDED = "succeeded"
        FAILED = "failed"
        CANCELLED = "cancelled"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # The organisation's id without a foreign key: jobs know no other room's models.
    organisation_id = models.UUIDField(db_index=True)
    kind = models.CharField(max_length=50)
    title = models.CharField(max_length=200)
    queue = models.CharField(max_length=20)
    payload = models.JSONField(default=dict)
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    created_by = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)
    sent_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    lease = models.UUIDField(null=True)
    lease_expires_at = models.DateTimeField(null=True)
    cancel_requested = models.BooleanField(default=False)
    progress = models.FloatField(default=0)
    step = models.CharField(max_length=200, blank=True)
    error = models.TextField(blank=True)
    hint = models.TextField(blank=True)

    class Meta:
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["state", "lease_expires_at"])]
        constraints = [
            models.CheckConstraint(
                name="a_running_job_has_a_lease",
                condition=models.Q(lease__isnull=False, lease_expires_at__isnull=False)
                | ~models.Q(state="running"),
            ),
            models.CheckConstraint(
                name="job_progress_is_a_share",
                condition=models.Q(progress__gte=0, progress__lte=1),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.title} ({self.state})"

    @property
    def is_over(self) -> bool:
        """Whether the job has ended, well or badly."""
        return self.state not in (self.State.QUEUED, self.State.RUNNING)


class JobLine(models.Model):
    """One line of a job's log."""

    job = models.ForeignKey(Job, models.CASCADE, related_name="lines")
    at = models.DateTimeField(auto_now_add=True)
    text = models.CharField(max_length=500)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return self.text


class SealedSecret(models.Model):
    """What a job needs and nobody may read: erased when the job ends."""

    job = models.OneToOneField(Job, models.CASCADE, related_name="sealed", primary_key=True)
    kek_id = models.CharField(max_length=16)
    wrapped_key = models.BinaryField()
    ciphertext = models.BinaryField()

    def __str__(self) -> str:
        return f"sealed secret of {self.job_id}"
