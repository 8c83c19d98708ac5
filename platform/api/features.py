"""External features. `/protections` lists them too; `/runs` verifies against them."""

from typing import Any

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from api.endpoints import Endpoint, idempotent
from api.protection import ProtectionSerializer, key_from
from protection.features import (
    LEAST_IMAGES,
    MOST_EPOCHS,
    MOST_IMAGES,
    USUAL_EPOCHS,
    USUAL_IMAGES,
    feature_create,
)
from registry.selectors import commitment_list
from spellmark.watermarks.external_feature.settings import LEAST_SHARE, MOST_SHARE, USUAL_SHARE


class ExternalFeatureInput(serializers.Serializer[Any]):
    """What an external feature needs. The key file is sealed for the job and erased when it ends.

    The style follows from the key; `share` percent of the training images get it, and keep their
    labels.
    """

    commitment = serializers.UUIDField()
    key_file = serializers.JSONField(binary=False, write_only=True)
    dataset = serializers.CharField(max_length=100)
    share = serializers.IntegerField(
        min_value=LEAST_SHARE, max_value=MOST_SHARE, default=USUAL_SHARE
    )
    images = serializers.IntegerField(
        min_value=LEAST_IMAGES, max_value=MOST_IMAGES, default=USUAL_IMAGES
    )
    epochs = serializers.IntegerField(min_value=1, max_value=MOST_EPOCHS, default=USUAL_EPOCHS)


class ExternalFeatures(Endpoint):
    """/external-features"""

    @extend_schema(request=ExternalFeatureInput, responses={202: ProtectionSerializer})
    @idempotent
    def post(self, request: Request) -> Response:
        """Teach the version that a commitment belongs to its key's style: a new version.

        Patent applications describe methods like this one (US 2024/0135211, WO 2023/093346).
        """
        data = self.read(ExternalFeatureInput(data=request.data))
        commitment = get_object_or_404(commitment_list(actor=self.actor), id=data.pop("commitment"))
        key = key_from(data.pop("key_file"))
        row = feature_create(actor=self.actor, commitment=commitment, key=key, **data)
        return Response(ProtectionSerializer(row).data, status=status.HTTP_202_ACCEPTED)
