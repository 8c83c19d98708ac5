"""Organisations, the people in them with their roles, and API tokens."""

import uuid

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Lower


class UserManager(BaseUserManager["User"]):
    """Users are found by their e-mail address, in any case of letters."""

    def get_by_natural_key(self, username: str | None) -> "User":
        """The user who logs in with this address."""
        return self.get(email__iexact=username)


class User(AbstractBaseUser):
    """A person, known by an e-mail address."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    email = models.EmailField(unique=True)
    name = models.CharField(max_length=100)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS = ["name"]
    objects = UserManager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                Lower("email"),
                name="one_user_an_address",
                violation_error_message="Somebody has this address already.",
            )
        ]

    def __str__(self) -> str:
        return self.name or self.email


class Organisation(models.Model):
    """A tenant: owns models, suspects, cases; people belong to it with a role."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=100)
    slug = models.SlugField(unique=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """A person's role in an organisation."""

    class Role(models.TextChoices):
        VIEWER = "viewer"
        EDITOR = "editor"
        OWNER = "owner"
        AUDITOR = "auditor"

    user = models.ForeignKey(User, models.CASCADE, related_name="memberships")
    organisation = models.ForeignKey(Organisation, models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role)

    class Meta:
        ordering = ["organisation__name"]
        constraints = [
            models.UniqueConstraint(
                fields=["user", "organisation"], name="one_role_a_person_and_organisation"
            )
        ]

    def __str__(self) -> str:
        return f"{self.user}: {self.role} of {self.organisation}"


class ApiToken(models.Model):
    """A pipeline's credential for one organisation. Only an HMAC of the token is kept."""

    class Scope(models.TextChoices):
        READ = "read"
        WRITE = "write"
        VERIFY = "verify"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organisation = models.ForeignKey(Organisation, models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=100)
    public_id = models.CharField(max_length=16, unique=True)
    pepper_id = models.PositiveSmallIntegerField()
    digest = models.CharField(max_length=64)
    scopes = ArrayField(models.CharField(max_length=10, choices=Scope))
    created_by = models.ForeignKey(User, models.CASCADE)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.name} (smk_{self.public_id}…)"
