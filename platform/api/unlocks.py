"""Using a locked model with its key."""

import base64
import binascii
import io
from typing import Any
from uuid import UUID

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from api.endpoints import Endpoint, idempotent
from api.jobs import JobSerializer
from api.protection import key_from
from protection.models import Unlock
from protection.selectors import protection_list, unlock_list
from protection.unlocks import changes, unlock_create


class AnswerSerializer(serializers.Serializer[Any]):
    """A class by its number and name, and how sure the model is of it."""

    label = serializers.IntegerField()  # type: ignore[assignment]
    name = serializers.CharField()
    probability = serializers.FloatField()


class UnlockSerializer(serializers.ModelSerializer[Unlock]):
    """An image given to a locked model: its job and, when that is done, the most likely classes.

    `changes` says how the image was made one that the model takes. All of it is forgotten an hour
    after the answer.
    """

    changes = serializers.SerializerMethodField()
    with_key = AnswerSerializer(many=True, read_only=True, allow_null=True)
    without_key = AnswerSerializer(many=True, read_only=True, allow_null=True)
    job = JobSerializer(read_only=True)

    class Meta:
        model = Unlock
        fields = [
            "id", "protection_id", "changes", "with_key", "without_key", "job", "created_by",
            "created_at",
        ]  # fmt: skip

    def get_changes(self, row: Unlock) -> list[str]:
        """In sentences; none where the image was one."""
        return changes(row)


class Base64Field(serializers.CharField):
    """A file's bytes in Base64."""

    def to_internal_value(self, data: Any) -> Any:
        """The bytes as a file to read."""
        try:
            return io.BytesIO(base64.b64decode(super().to_internal_value(data), validate=True))
        except (binascii.Error, ValueError):
            raise serializers.ValidationError("This is not Base64.") from None


class UnlockInput(serializers.Serializer[Any]):
    """A key file and an image (PNG, JPEG, BMP or WebP) in Base64, a mebibyte together at the most.

    Both are sealed for the job and erased when it ends.
    """

    key_file = serializers.JSONField(binary=False, write_only=True)
    image = Base64Field(write_only=True)


class ProtectionUnlocks(Endpoint):
    """/protections/ID/unlocks"""

    @extend_schema(request=UnlockInput, responses={202: UnlockSerializer})
    @idempotent
    def post(self, request: Request, protection_id: UUID) -> Response:
        """Ask the locked model about an image, with its key and without."""
        protection = get_object_or_404(protection_list(actor=self.actor), id=protection_id)
        data = self.read(UnlockInput(data=request.data))
        key = key_from(data.pop("key_file"))
        row = unlock_create(actor=self.actor, protection=protection, key=key, **data)
        return Response(UnlockSerializer(row).data, status=status.HTTP_202_ACCEPTED)


class UnlockDetail(Endpoint):
    """/unlocks/ID"""

    @extend_schema(responses=UnlockSerializer)
    def get(self, request: Request, unlock_id: UUID) -> Response:
        """What became of it, so far."""
        row = get_object_or_404(unlock_list(actor=self.actor), id=unlock_id)
        return Response(UnlockSerializer(row).data)
