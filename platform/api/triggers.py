"""Trigger watermarks. `/protections` lists them too, with their attacks."""

from typing import Any

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from api.endpoints import Endpoint, idempotent
from api.protection import ProtectionSerializer, key_from
from protection.triggers import (
    LEAST_IMAGES,
    MOST_EPOCHS,
    MOST_IMAGES,
    USUAL_EPOCHS,
    USUAL_IMAGES,
    trigger_create,
)
from registry.selectors import commitment_list


class TriggerWatermarkInput(serializers.Serializer[Any]):
    """What a trigger watermark needs. The key file is sealed for the job and erased when it ends.

    How many triggers there are, how many a run opens and at which false-positive rate stands in the
    key file and in the commitment.
    """

    commitment = serializers.UUIDField()
    key_file = serializers.JSONField(binary=False, write_only=True)
    dataset = serializers.CharField(max_length=100)
    images = serializers.IntegerField(
        min_value=LEAST_IMAGES, max_value=MOST_IMAGES, default=USUAL_IMAGES
    )
    epochs = serializers.IntegerField(min_value=1, max_value=MOST_EPOCHS, default=USUAL_EPOCHS)


class TriggerWatermarks(Endpoint):
    """/trigger-watermarks"""

    @extend_schema(request=TriggerWatermarkInput, responses={202: ProtectionSerializer})
    @idempotent
    def post(self, request: Request) -> Response:
        """Teach the version that a commitment belongs to its triggers: a new version."""
        data = self.read(TriggerWatermarkInput(data=request.data))
        commitment = get_object_or_404(commitment_list(actor=self.actor), id=data.pop("commitment"))
        key = key_from(data.pop("key_file"))
        row = trigger_create(actor=self.actor, commitment=commitment, key=key, **data)
        return Response(ProtectionSerializer(row).data, status=status.HTTP_202_ACCEPTED)
