"""Answers to writes that carried an idempotency key, so that a repeated write happens once."""

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models

from accounts.models import Organisation


class IdempotencyRecord(models.Model):
    """The first answer given under a key; the request itself is kept as an HMAC only."""

    organisation = models.ForeignKey(Organisation, models.CASCADE)
    key = models.CharField(max_length=200)
    fingerprint = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(null=True)
    body = models.JSONField(null=True, encoder=DjangoJSONEncoder)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organisation", "key"], name="a_key_is_used_once")
        ]

    def __str__(self) -> str:
        return self.key
