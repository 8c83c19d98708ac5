"""Protections: locks and watermarks placed on a version, with their report cards."""

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models

from accounts.models import Organisation
from jobs.models import Job
from registry.models import Commitment, Version


class Protection(models.Model):
    """A lock or watermark that a job makes from a source version; `result` is the new version."""

    class Kind(models.TextChoices):
        KEY_LOCK = "key-lock"
        PROMPT_LOCK = "prompt-lock"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organisation = models.ForeignKey(Organisation, models.PROTECT, related_name="protections")
    kind = models.CharField(max_length=20, choices=Kind)
    source = models.ForeignKey(Version, models.PROTECT, related_name="protections")
    commitment = models.ForeignKey(Commitment, models.PROTECT, related_name="protections")
    dataset = models.CharField(max_length=100)
    settings = models.JSONField(default=dict)
    job = models.OneToOneField(Job, models.PROTECT, related_name="protection")
    result = models.OneToOneField(Version, models.PROTECT, null=True, related_name="protection")
    report_card = models.JSONField(null=True)
    created_by = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.kind} on {self.source}"


class Rehearsal(models.Model):
    """Attacks that the owner ran on their own lock, and what they reached.

    All of them are kept: two rehearsals with other images or budgets do not compare, and a lucky
    one must not hide a worse one.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    protection = models.ForeignKey(Protection, models.PROTECT, related_name="rehearsals")
    dataset = models.CharField(max_length=100)
    attacks = ArrayField(models.CharField(max_length=50))
    budget = models.CharField(max_length=20)
    job = models.OneToOneField(Job, models.PROTECT, related_name="rehearsal")
    results = models.JSONField(null=True)
    created_by = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"attacks on {self.protection.result}"


class Trial(models.Model):
    """What a spell does to some test images, for its owner to look at before locking.

    The sheet shows the spell at work, so it is forgotten after a while.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    version = models.ForeignKey(Version, models.PROTECT, related_name="trials")
    dataset = models.CharField(max_length=100)
    parameters = models.JSONField()
    job = models.OneToOneField(Job, models.PROTECT, related_name="trial")
    # A PNG, and how far the edit moves images (see spellmark.locks.prompt_lock.strength).
    sheet = models.BinaryField(null=True)
    change = models.FloatField(null=True)
    created_by = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"a spell tried on {self.version}"


class Editor(models.Model):
    """An editor of prompt locks that one organisation has: uploaded, or trained by a job.

    `digest` is the SHA-256 of its file in the storage, and empty until there is one; `settings`
    say how it was trained here. The file is as secret as a key file.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organisation = models.ForeignKey(Organisation, models.PROTECT, related_name="editors")
    name = models.CharField(max_length=100)
    digest = models.CharField(max_length=64, blank=True)
    settings = models.JSONField(default=dict, blank=True)
    job = models.OneToOneField(Job, models.PROTECT, null=True, blank=True, related_name="editor")
    created_by = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "digest"],
                condition=~models.Q(digest=""),
                name="an_organisation_has_an_editor_once",
                violation_error_message="Your organisation has this very editor already.",
            )
        ]

    def __str__(self) -> str:
        return self.name


class Unlock(models.Model):
    """An image that was given to a locked model with its key, and what the model said.

    Image and answers are their sender's business, so they are forgotten after a while. `source`
    says what the file held: width, height and whether it had colours. The answers are the most
    likely classes, each with its probability.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    protection = models.ForeignKey(Protection, models.PROTECT, related_name="unlocks")
    source = models.JSONField()
    job = models.OneToOneField(Job, models.PROTECT, related_name="unlock")
    # A PNG of the image as the model takes it, before the key changes it.
    picture = models.BinaryField(null=True)
    with_key = models.JSONField(null=True)
    without_key = models.JSONField(null=True)
    created_by = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"an image for {self.protection.result}"
