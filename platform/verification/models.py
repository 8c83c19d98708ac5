"""Suspects, verification runs, and every question asked with its answer."""

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from accounts.models import Organisation
from jobs.models import Job
from protection.models import Protection

SHA256 = "^[0-9a-f]{64}$"


class Suspect(models.Model):
    """A model accused: an HTTP endpoint or a model file."""

    class Kind(models.TextChoices):
        ENDPOINT = "endpoint"
        FILE = "file"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organisation = models.ForeignKey(Organisation, models.PROTECT, related_name="suspects")
    name = models.CharField(max_length=100)
    kind = models.CharField(max_length=10, choices=Kind)
    # For an endpoint: protocol, url, model and how images are sent. Credentials never stand here.
    config = models.JSONField(default=dict, blank=True)
    sha256 = models.CharField(max_length=64, blank=True)
    created_by = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(
                name="a_suspect_file_has_a_digest",
                condition=Q(kind="endpoint", sha256="") | Q(kind="file", sha256__regex=SHA256),
            )
        ]

    def __str__(self) -> str:
        return self.name


class Run(models.Model):
    """One method, one suspect, one protection. What decides it is fixed before the first query."""

    class Verdict(models.TextChoices):
        MATCH = "match"
        NO_MATCH = "no match"
        INCONCLUSIVE = "inconclusive"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organisation = models.ForeignKey(Organisation, models.PROTECT, related_name="runs")
    suspect = models.ForeignKey(Suspect, models.PROTECT, related_name="runs")
    protection = models.ForeignKey(Protection, models.PROTECT, related_name="runs")
    method = models.CharField(max_length=50)
    evidence_class = models.CharField(max_length=20)
    rule = models.JSONField()
    smallest_p = models.FloatField()
    batch = models.PositiveIntegerField()
    dataset = models.CharField(max_length=100)
    seed = models.CharField(max_length=64)
    registration_index = models.BigIntegerField()
    registration_digest = models.CharField(max_length=64)
    job = models.OneToOneField(Job, models.PROTECT, related_name="run")
    created_by = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)

    verdict = models.CharField(max_length=20, choices=Verdict, blank=True)
    reason = models.TextField(blank=True)
    statistic = models.IntegerField(null=True)
    p_value = models.FloatField(null=True)
    answered_probes = models.PositiveIntegerField(null=True)
    # Of the random-key test: the statistic of every slot, and the true key's slot.
    hits = ArrayField(models.IntegerField(), null=True)
    true_slot = models.IntegerField(null=True)
    # Of keyed labels: the exact distribution of the statistic (see KeyedLabelResult.null).
    null_distribution = ArrayField(models.FloatField(), null=True)
    # Of a guard's mark: the evidence after each answer (see MarkOutcome), and whose key fits best.
    growth = ArrayField(models.FloatField(), null=True)
    client = models.CharField(max_length=100, blank=True)
    access_level = models.CharField(max_length=100, blank=True)
    transcript_sha256 = models.CharField(max_length=64, blank=True)
    certificate_id = models.UUIDField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(
                name="a_match_has_its_p_value_and_transcript",
                condition=~Q(verdict="match")
                | Q(p_value__isnull=False, transcript_sha256__regex=SHA256),
            )
        ]

    def __str__(self) -> str:
        return f"{self.suspect} against {self.protection}"


class Exchange(models.Model):
    """One request to a suspect: written before it is sent, completed when the answer is here."""

    class State(models.TextChoices):
        SENT = "sent"
        ANSWERED = "answered"
        FAILED = "failed"
        LOST = "lost"

    run = models.ForeignKey(Run, models.CASCADE, related_name="exchanges")
    number = models.PositiveIntegerField()
    state = models.CharField(max_length=10, choices=State)
    # The transcript's line as it stands (see spellmark.evidence.transcript.Exchange).
    line = models.JSONField()
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["number"]
        constraints = [
            models.UniqueConstraint(fields=["run", "number"], name="no_query_is_sent_twice")
        ]

    def __str__(self) -> str:
        return f"request {self.number} ({self.state})"
