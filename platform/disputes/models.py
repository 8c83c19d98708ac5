"""Cases, and the reports handed to people outside."""

import uuid

from django.db import models

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
