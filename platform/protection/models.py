"""Protections: locks and watermarks placed on a version, with their report cards."""

import uuid

from django.contrib.postgres.fields import ArrayField
from django.core.validators import RegexValidator
from django.db import models
from django.utils import timezone

from accounts.models import Organisation
from jobs.models import Job
from registry.models import Commitment, Version


class Protection(models.Model):
    """A lock or watermark that a job makes for a source version.

    `result` is the new version that a lock or a watermark of the model gives. A guard changes no
    model, so it has none: it marks the answers of the source version itself, from `valid_from`,
    when its job measured it, to `valid_until`; `replaces` is the guard whose key it takes the place
    of.
    """

    class Kind(models.TextChoices):
        KEY_LOCK = "key-lock"
        PROMPT_LOCK = "prompt-lock"
        DYNAMIC = "dynamic", "Dynamic watermark"
        TRIGGER = "trigger", "Trigger watermark"
        FEATURE = "external-feature", "External feature"

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
    # By which a trigger watermark's root stands in the log.
    certificate_id = models.UUIDField(null=True)
    valid_from = models.DateTimeField(null=True)
    valid_until = models.DateTimeField(null=True)
    replaces = models.ForeignKey("self", models.PROTECT, null=True, related_name="successors")
    created_by = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(
                condition=~models.Q(kind="dynamic") | models.Q(result=None),
                name="a_guard_changes_no_model",
            ),
            models.CheckConstraint(
                condition=models.Q(kind="dynamic")
                | models.Q(valid_from=None, valid_until=None, replaces=None),
                name="only_guards_have_a_validity",
            ),
            models.CheckConstraint(
                condition=models.Q(valid_until=None)
                | models.Q(valid_from__isnull=False, valid_until__gt=models.F("valid_from")),
                name="a_guard_ends_after_it_begins",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} on {self.source}"

    @property
    def protected_version(self) -> Version | None:
        """The version whose copies this recognises; None until its job is done."""
        if self.kind == self.Kind.DYNAMIC:
            return self.source if self.report_card else None
        return self.result

    @property
    def registration_certificate_id(self) -> uuid.UUID | None:
        """The certificate by which it stands in the log; None until its job is done.

        A lock is registered with the version that it gives, a guard with its commitment, a trigger
        watermark with the root of its triggers.
        """
        if self.kind == self.Kind.TRIGGER:
            return self.certificate_id
        version = self.protected_version
        if version is None:
            return None
        is_guard = self.kind == self.Kind.DYNAMIC
        return self.commitment.certificate_id if is_guard else version.certificate_id

    @property
    def is_over(self) -> bool:
        """Whether its time has ended; a lock's never does."""
        return self.valid_until is not None and self.valid_until <= timezone.now()


class Rehearsal(models.Model):
    """Attacks that the owner ran on their own protection, and what they reached.

    Or, for a version, false claims that were made with models like it (see `false_claims`).
    All of them are kept: two rehearsals with other images or budgets do not compare, and a lucky
    one must not hide a worse one.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    protection = models.ForeignKey(Protection, models.PROTECT, null=True, related_name="rehearsals")
    version = models.ForeignKey(Version, models.PROTECT, null=True, related_name="rehearsals")
    dataset = models.CharField(max_length=100)
    # Of thefts: images unlike the owner's that the thief asks about too; without, he makes some.
    other_dataset = models.CharField(max_length=100, blank=True)
    attacks = ArrayField(models.CharField(max_length=50))
    budget = models.CharField(max_length=20)
    job = models.OneToOneField(Job, models.PROTECT, related_name="rehearsal")
    results = models.JSONField(null=True)
    created_by = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(
                name="a_rehearsal_is_for_a_protection_or_a_version",
                condition=models.Q(protection__isnull=False, version=None)
                | models.Q(protection=None, version__isnull=False),
            )
        ]

    def __str__(self) -> str:
        if self.protection is None:
            return f"false claims with models like {self.version}"
        return f"attacks on {self.protection.protected_version}"


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


class GuardClient(models.Model):
    """One client of a guarded API, who gets answers under key bits of their own.

    `commitment` tells those bits apart without giving them away. `binding` was drawn here when the
    client was added and goes into them, so that nobody can search for a name whose bits happen to
    suit a suspect; both stand in the log. A client that ended is kept, for what they copied.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    guard = models.ForeignKey(Protection, models.PROTECT, related_name="clients")
    name = models.CharField(
        max_length=100,
        validators=[
            RegexValidator(
                r"\A[A-Za-z0-9][A-Za-z0-9._@-]*\Z",
                "Use letters, digits, dots, dashes, underscores and @, without spaces.",
            )
        ],
    )
    binding = models.CharField(max_length=64)
    commitment = models.CharField(max_length=64)
    certificate_id = models.UUIDField()
    created_by = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["guard", "name"],
                name="a_guard_has_a_client_once",
                violation_error_message="This guard has, or had, a client of that name. "
                "Choose another name.",
            )
        ]

    def __str__(self) -> str:
        return self.name
