"""The red team: false claims with models like a version, made for real."""

from typing import Any

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from api.endpoints import Endpoint, idempotent
from api.jobs import JobSerializer
from protection.false_claims import (
    BUDGET_WORDS,
    USUAL_BUDGET,
    accepted_of,
    false_claims_create,
    tried_of,
)
from protection.models import Rehearsal
from protection.selectors import rehearsal_list
from registry.models import Version
from registry.selectors import version_list


class FalseClaimsSerializer(serializers.ModelSerializer[Rehearsal]):
    """False claims with their job and, when that is done, what became of each kind.

    `accepted` should be 0: so many of the `tried` ones were believed.
    """

    version = serializers.SerializerMethodField()
    tried = serializers.SerializerMethodField()
    accepted = serializers.SerializerMethodField()
    job = JobSerializer(read_only=True)

    class Meta:
        model = Rehearsal
        fields = [
            "id", "version", "dataset", "budget", "tried", "accepted", "results", "job",
            "created_by", "created_at",
        ]  # fmt: skip

    def get_version(self, row: Rehearsal) -> str:
        """The version whose card the models have, as `model/number`."""
        assert row.version is not None
        return f"{row.version.model.name}/{row.version.number}"

    def get_tried(self, row: Rehearsal) -> int | None:
        """How many false claims were made."""
        return None if row.results is None else tried_of(row.results)

    def get_accepted(self, row: Rehearsal) -> int | None:
        """How many of them were believed."""
        return None if row.results is None else accepted_of(row.results)


class FalseClaimsInput(serializers.Serializer[Any]):
    """On which images, and how many. No key is needed: whoever cheats makes his own."""

    dataset = serializers.CharField(max_length=100)
    budget = serializers.ChoiceField(list(BUDGET_WORDS), default=USUAL_BUDGET)


class FalseClaims(Endpoint):
    """/models/NAME/versions/NUMBER/false-claims"""

    @extend_schema(operation_id="false_claims_list", responses=FalseClaimsSerializer(many=True))
    def get(self, request: Request, name: str, number: int) -> Response:
        """The false claims that were made with models like this version, newest first."""
        rows = rehearsal_list(actor=self.actor).filter(version=self._version(name, number))
        return self.page(request, rows, FalseClaimsSerializer)

    @extend_schema(
        operation_id="false_claims_create",
        request=FalseClaimsInput,
        responses={202: FalseClaimsSerializer},
    )
    @idempotent
    def post(self, request: Request, name: str, number: int) -> Response:
        """Make every kind of false claim against innocent models, to see that none is believed."""
        version = self._version(name, number)
        data = self.read(FalseClaimsInput(data=request.data))
        row = false_claims_create(actor=self.actor, version=version, **data)
        return Response(FalseClaimsSerializer(row).data, status=status.HTTP_202_ACCEPTED)

    def _version(self, name: str, number: int) -> Version:
        return get_object_or_404(version_list(actor=self.actor), model__name=name, number=number)
