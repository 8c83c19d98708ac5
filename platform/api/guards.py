"""Guards: the dynamic watermark in front of a prediction API. `/protections` lists them too."""

import json
from typing import Any
from uuid import UUID

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from api.endpoints import Endpoint, idempotent
from api.protection import ProtectionSerializer, key_from
from protection.guards import (
    LEAST_IMAGES,
    MOST_IMAGES,
    MOST_OVERLAP_DAYS,
    USUAL_IMAGES,
    USUAL_OVERLAP_DAYS,
    client_add,
    client_end,
    guard_configuration,
    guard_create,
    guard_rotate,
)
from protection.models import GuardClient, Protection
from protection.selectors import client_list, guard_list
from registry.selectors import commitment_list
from spellmark.watermarks.dynamic.guard_file import MOST_DECIMALS


class GuardInput(serializers.Serializer[Any]):
    """What a guard needs. The key file is sealed for the job and erased when it ends.

    How answers are marked stands in the key file and in the commitment. `decimals` and `top_k` say
    how the API shortens its answers, if it does. From `images` copies without a mark are made, to
    compare suspects with, and by them the cells are cut.
    """

    commitment = serializers.UUIDField()
    key_file = serializers.JSONField(binary=False, write_only=True)
    dataset = serializers.CharField(max_length=100)
    images = serializers.IntegerField(
        min_value=LEAST_IMAGES, max_value=MOST_IMAGES, default=USUAL_IMAGES
    )
    decimals = serializers.IntegerField(
        min_value=1, max_value=MOST_DECIMALS, required=False, allow_null=True
    )
    top_k = serializers.IntegerField(min_value=1, required=False, allow_null=True)


class RotationInput(serializers.Serializer[Any]):
    """The new key of a guard, sealed as ever. The old key ends so many days after the new begins.

    Without a data set the old one is taken; answers are shortened as before.
    """

    commitment = serializers.UUIDField()
    key_file = serializers.JSONField(binary=False, write_only=True)
    dataset = serializers.CharField(max_length=100, required=False)
    images = serializers.IntegerField(
        min_value=LEAST_IMAGES, max_value=MOST_IMAGES, default=USUAL_IMAGES
    )
    overlap_days = serializers.IntegerField(
        min_value=1, max_value=MOST_OVERLAP_DAYS, default=USUAL_OVERLAP_DAYS
    )


class ClientSerializer(serializers.ModelSerializer[GuardClient]):
    """A client with the commitment to their key bits; those that ended stay listed."""

    class Meta:
        model = GuardClient
        fields = [
            "id", "name", "binding", "commitment", "certificate_id", "created_by", "created_at",
            "ended_at",
        ]  # fmt: skip


class ClientInput(serializers.Serializer[Any]):
    """A client's name. The guard's key file is opened for the commitment, and not kept."""

    name = serializers.CharField(max_length=100)
    key_file = serializers.JSONField(binary=False, write_only=True)


class ConfigurationInput(serializers.Serializer[Any]):
    """The guard's key file, which goes into the configuration and is not kept."""

    key_file = serializers.JSONField(binary=False, write_only=True)


class ConfigurationSerializer(serializers.Serializer[Any]):
    """A configuration file, as secret as the key file in it."""

    format = serializers.CharField()
    key = serializers.DictField()
    binding = serializers.CharField()
    thresholds = serializers.ListField(
        child=serializers.ListField(child=serializers.FloatField()), allow_null=True
    )
    input_shape = serializers.ListField(child=serializers.IntegerField(), allow_null=True)
    decimals = serializers.IntegerField(allow_null=True)
    top_k = serializers.IntegerField(allow_null=True)
    clients = serializers.DictField(child=serializers.CharField())
    valid_from = serializers.CharField()
    valid_until = serializers.CharField(allow_null=True)


class Guards(Endpoint):
    """/guards"""

    @extend_schema(request=GuardInput, responses={202: ProtectionSerializer})
    @idempotent
    def post(self, request: Request) -> Response:
        """Guard the answers of the version that a commitment belongs to."""
        data = self.read(GuardInput(data=request.data))
        commitment = get_object_or_404(commitment_list(actor=self.actor), id=data.pop("commitment"))
        key = key_from(data.pop("key_file"))
        row = guard_create(actor=self.actor, commitment=commitment, key=key, **data)
        return Response(ProtectionSerializer(row).data, status=status.HTTP_202_ACCEPTED)


class GuardEndpoint(Endpoint):
    """An address below one guard."""

    def guard(self, guard_id: UUID) -> Protection:
        """The actor's guard with this id, or a 404."""
        return get_object_or_404(guard_list(actor=self.actor), id=guard_id)


class GuardRotation(GuardEndpoint):
    """/guards/ID/rotation"""

    @extend_schema(request=RotationInput, responses={202: ProtectionSerializer})
    @idempotent
    def post(self, request: Request, guard_id: UUID) -> Response:
        """Let another guard with a new key take this one's place; both serve for a while."""
        guard = self.guard(guard_id)
        data = self.read(RotationInput(data=request.data))
        commitment = get_object_or_404(commitment_list(actor=self.actor), id=data.pop("commitment"))
        key = key_from(data.pop("key_file"))
        row = guard_rotate(actor=self.actor, guard=guard, commitment=commitment, key=key, **data)
        return Response(ProtectionSerializer(row).data, status=status.HTTP_202_ACCEPTED)


class GuardConfiguration(GuardEndpoint):
    """/guards/ID/configuration"""

    # Not idempotent by a key: that would keep the answer, and the answer is a secret.
    @extend_schema(request=ConfigurationInput, responses=ConfigurationSerializer)
    def post(self, request: Request, guard_id: UUID) -> Response:
        """What a server needs to run the guard, made from its key file in this one request."""
        guard = self.guard(guard_id)
        data = self.read(ConfigurationInput(data=request.data))
        key = key_from(data["key_file"])
        file = guard_configuration(actor=self.actor, guard=guard, key=key)
        return Response(json.loads(file.dumps()), headers={"Cache-Control": "no-store"})


class GuardClients(GuardEndpoint):
    """/guards/ID/clients"""

    @extend_schema(operation_id="guard_clients_list", responses=ClientSerializer(many=True))
    def get(self, request: Request, guard_id: UUID) -> Response:
        """The guard's clients, oldest first."""
        rows = client_list(actor=self.actor).filter(guard=self.guard(guard_id))
        return self.page(request, rows, ClientSerializer)

    @extend_schema(request=ClientInput, responses={201: ClientSerializer})
    @idempotent
    def post(self, request: Request, guard_id: UUID) -> Response:
        """Give a client key bits of their own, so that a copy tells whose answers it had."""
        guard = self.guard(guard_id)
        data = self.read(ClientInput(data=request.data))
        key = key_from(data.pop("key_file"))
        row = client_add(actor=self.actor, guard=guard, key=key, **data)
        return Response(ClientSerializer(row).data, status=status.HTTP_201_CREATED)


class GuardClientEnd(GuardEndpoint):
    """/guards/ID/clients/CLIENT/end"""

    @extend_schema(request=None, responses=ClientSerializer)
    @idempotent
    def post(self, request: Request, guard_id: UUID, client_id: UUID) -> Response:
        """Leave a client out of configurations from now on; what they copied can still be told."""
        rows = client_list(actor=self.actor).filter(guard=self.guard(guard_id))
        row = get_object_or_404(rows, id=client_id)
        client_end(actor=self.actor, client=row)
        return Response(ClientSerializer(row).data)
