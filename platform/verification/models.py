"""Suspects, verification runs, and every question asked with its answer."""

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from accounts.models import Organisation
from jobs.models import Job
from protection.models import Protection
from registry.models import Version

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
    # A fingerprint needs no protection, but a version that is registered.
    protection = models.ForeignKey(Protection, models.PROTECT, null=True, related_name="runs")
    version = models.ForeignKey(Version, models.PROTECT, null=True, related_name="runs")
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
    # Of a fingerprint: the score, the null pool as it was fixed (see null_pool.as_rows; its scores
    # come with the verdict), and what the comparison found.
    score = models.FloatField(null=True)
    pool = models.JSONField(null=True)
    findings = models.JSONField(null=True)
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
            ),
            models.CheckConstraint(
                name="a_run_is_for_a_protection_or_a_version",
                condition=Q(protection__isnull=False, version=None)
                | Q(protection=None, version__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.suspect} against {self.protection or self.version}"

    @property
    def owners(self) -> Version:
        """The owner's version that the suspect may have been copied from."""
        if self.version is not None:
            return self.version
        assert self.protection is not None  # the constraint says so
        protected = self.protection.protected_version
        assert protected is not None  # without one no run starts
        return protected

    @property
    def source(self) -> Version:
        """The owner's version as it was before any protection."""
        if self.version is not None:
            return self.version
        assert self.protection is not None
        return self.protection.source


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


class Reference(models.Model):
    """A model of the null pool: it is known to be innocent, trained here or brought."""

    class Source(models.TextChoices):
        TRAINED = "trained"
        UPLOADED = "uploaded"

    class Kind(models.TextChoices):
        OTHER_DATA = "other data"
        SAME_DATA = "same data"
        SAME_ARCHITECTURE = "same data and architecture"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organisation = models.ForeignKey(Organisation, models.PROTECT, related_name="references")
    # For the runs of this version alone, or of all that take such images.
    version = models.ForeignKey(
        Version, models.PROTECT, null=True, blank=True, related_name="references"
    )
    name = models.CharField(max_length=100)
    kind = models.CharField(max_length=30, choices=Kind)
    source = models.CharField(max_length=10, choices=Source)
    dataset = models.CharField(max_length=100)
    card = models.JSONField()
    # How it was trained: epochs, images, seed; empty for one that was brought.
    settings = models.JSONField(default=dict, blank=True)
    sha256 = models.CharField(max_length=64)
    accuracy = models.FloatField(null=True, blank=True)
    job = models.ForeignKey(Job, models.PROTECT, null=True, blank=True, related_name="references")
    # Its place in the job's plan, so that a lost worker's successor knows what is done.
    number = models.PositiveIntegerField(null=True, blank=True)
    created_by = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "sha256"], name="a_reference_stands_in_the_pool_once"
            ),
            models.UniqueConstraint(fields=["job", "number"], name="one_reference_a_number"),
            models.CheckConstraint(
                name="a_trained_reference_has_its_job",
                condition=Q(source="uploaded", job=None)
                | Q(source="trained", job__isnull=False, number__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return self.name


class ProbeSet(models.Model):
    """What runs by fingerprint draw their probes from: fixed before any suspect is asked.

    `sha256` is of an NPZ file with the images, their classes and the owner's answers.
    """

    version = models.ForeignKey(Version, models.PROTECT, related_name="probe_sets")
    dataset = models.CharField(max_length=100)
    variant = models.CharField(max_length=20)
    sha256 = models.CharField(max_length=64)
    count = models.PositiveIntegerField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["version", "dataset", "variant"], name="one_probe_set_a_kind"
            )
        ]

    def __str__(self) -> str:
        return f"{self.variant} probes of {self.version}"


class ReferenceAnswers(models.Model):
    """What a reference says to a probe set, computed once for all runs. `sha256` is of an NPY."""

    probe_set = models.ForeignKey(ProbeSet, models.CASCADE, related_name="answers")
    reference = models.ForeignKey(Reference, models.CASCADE, related_name="answers")
    sha256 = models.CharField(max_length=64)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["probe_set", "reference"], name="a_reference_is_asked_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.reference} on {self.probe_set}"
