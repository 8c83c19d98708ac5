"""Models, their immutable numbered versions, the versions' files, commitments and aliases."""

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from accounts.models import Organisation

SHA256 = "^[0-9a-f]{64}$"


class Model(models.Model):
    """A registered model of an organisation; what exists of it are its versions."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organisation = models.ForeignKey(Organisation, models.PROTECT, related_name="models")
    name = models.SlugField(max_length=100)
    description = models.TextField(blank=True, max_length=5000)
    tags = ArrayField(models.CharField(max_length=50), default=list, blank=True)
    created_by = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "name"], name="one_model_a_name_and_organisation"
            )
        ]

    def __str__(self) -> str:
        return self.name


class Version(models.Model):
    """A numbered version. A draft takes files; once published nothing about it changes."""

    class State(models.TextChoices):
        DRAFT = "draft"
        PUBLISHED = "published"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    model = models.ForeignKey(Model, models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    state = models.CharField(max_length=10, choices=State, default=State.DRAFT)
    parent = models.ForeignKey(
        "self", models.PROTECT, null=True, blank=True, related_name="children"
    )
    derivation = models.CharField(max_length=50, blank=True)
    notes = models.TextField(blank=True, max_length=5000)
    card = models.JSONField(null=True, blank=True)
    root_digest = models.CharField(max_length=64, blank=True)
    certificate_id = models.UUIDField(null=True, blank=True)
    created_by = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)
    published_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(fields=["model", "number"], name="one_version_a_number"),
            models.CheckConstraint(
                name="a_published_version_has_a_digest",
                condition=Q(state="draft", root_digest="", published_at=None)
                | Q(state="published", root_digest__regex=SHA256, published_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.model.name} v{self.number}"


class File(models.Model):
    """A file of a version: its bytes lie in the storage under their SHA-256."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    version = models.ForeignKey(Version, models.PROTECT, related_name="files")
    name = models.CharField(max_length=200)
    sha256 = models.CharField(max_length=64)
    size = models.PositiveBigIntegerField()
    format = models.CharField(max_length=20)
    summary = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["version", "name"], name="one_file_a_name"),
        ]

    def __str__(self) -> str:
        return self.name


class Commitment(models.Model):
    """The hash of a secret, tied to the version that the secret is to protect.

    `binding` is drawn by the registry after the commitment has come in, and goes into every
    derivation from the secret, so that nobody can search for a secret that suits a suspect.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    version = models.ForeignKey(Version, models.PROTECT, related_name="commitments")
    digest = models.CharField(max_length=64)
    scheme = models.CharField(max_length=100)
    parameters = models.JSONField(blank=True)
    binding = models.CharField(max_length=64)
    certificate_id = models.UUIDField()
    created_by = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["version", "digest"], name="a_secret_is_committed_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.scheme} {self.digest[:12]}…"


class Alias(models.Model):
    """A movable name for a version; a protected one is moved by owners only."""

    model = models.ForeignKey(Model, models.PROTECT, related_name="aliases")
    name = models.SlugField(max_length=50)
    version = models.ForeignKey(Version, models.PROTECT, related_name="aliases")
    protected = models.BooleanField(default=False)
    moved_by = models.CharField(max_length=200)
    moved_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["model", "name"], name="one_alias_a_name")]

    def __str__(self) -> str:
        return self.name
