"""Cases, the reports handed to people outside, and what those who are accused answer."""

import uuid

from django.db import models
from django.db.models import Q

from accounts.models import Organisation
from jobs.models import Job
from verification.models import Run


class Case(models.Model):
    """A dispute: the runs that bear on it. A run that joined a case stays in it."""

    class State(models.TextChoices):
        OPEN = "open"
        CLOSED = "closed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organisation = models.ForeignKey(Organisation, models.PROTECT, related_name="cases")
    title = models.CharField(max_length=200)
    description = models.TextField(blank=True, max_length=10_000)
    state = models.CharField(max_length=10, choices=State, default=State.OPEN)
    runs = models.ManyToManyField(Run, related_name="cases")
    created_by = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return self.title


class Report(models.Model):
    """A case as a document: PDF, HTML and the evidence zip, by digest."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    case = models.ForeignKey(Case, models.PROTECT, related_name="reports")
    number = models.PositiveIntegerField()
    job = models.OneToOneField(Job, models.PROTECT, related_name="report")
    pdf_sha256 = models.CharField(max_length=64, blank=True)
    html_sha256 = models.CharField(max_length=64, blank=True)
    evidence_sha256 = models.CharField(max_length=64, blank=True)
    created_by = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(fields=["case", "number"], name="one_report_a_number")
        ]

    def __str__(self) -> str:
        return f"{self.case}, report {self.number}"


class Share(models.Model):
    """A link by which those who are accused reach a case. Of its token only the SHA-256 is kept."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    case = models.ForeignKey(Case, models.PROTECT, related_name="shares")
    digest = models.CharField(max_length=64, unique=True)
    created_by = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)
    # When somebody who is not of the owner's organisation first used it.
    opened_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["created_at"]

    def __str__(self) -> str:
        return f"link to {self.case}"


class Lodged(models.Model):
    """A registration that the accused lodge against a case: theirs in this log, or a bundle.

    What it says is read from its signed bytes each time, never from this row.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    case = models.ForeignKey(Case, models.PROTECT, related_name="lodged")
    share = models.ForeignKey(Share, models.PROTECT, related_name="lodged")
    organisation = models.ForeignKey(Organisation, models.PROTECT, null=True, related_name="lodged")
    name = models.CharField(max_length=200)
    statement = models.TextField(blank=True, max_length=2000)
    # Of this installation's log.
    certificate_id = models.UUIDField(null=True, blank=True)
    # Of another log: the evidence bundle, and the trust file that came with it.
    bundle_sha256 = models.CharField(max_length=64, blank=True)
    trust_sha256 = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["created_at"]
        constraints = [
            models.CheckConstraint(
                name="lodged_from_this_log_or_another",
                condition=Q(certificate_id__isnull=False, bundle_sha256="", trust_sha256="")
                | (Q(certificate_id=None) & ~Q(bundle_sha256="") & ~Q(trust_sha256="")),
            )
        ]

    def __str__(self) -> str:
        return f"registration lodged by {self.name}"


class Retest(models.Model):
    """A new test that the accused ask for; `again` is the run that came of it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    case = models.ForeignKey(Case, models.PROTECT, related_name="retests")
    share = models.ForeignKey(Share, models.PROTECT, related_name="retests")
    run = models.ForeignKey(Run, models.PROTECT, related_name="retests")
    organisation = models.ForeignKey(
        Organisation, models.PROTECT, null=True, related_name="retests"
    )
    name = models.CharField(max_length=200)
    reason = models.TextField(max_length=2000)
    again = models.OneToOneField(Run, models.PROTECT, null=True, related_name="asked_for")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["run"], condition=Q(again=None), name="one_open_request_a_run"
            )
        ]

    def __str__(self) -> str:
        return f"new test of {self.run}"
