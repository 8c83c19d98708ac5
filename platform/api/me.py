"""Who the token speaks for."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from api.endpoints import Endpoint


class MeSerializer(serializers.Serializer[Any]):
    """The token's organisation and scopes."""

    name = serializers.CharField()
    organisation = serializers.CharField()
    permissions = serializers.ListField(child=serializers.CharField())


class Me(Endpoint):
    """/me"""

    @extend_schema(responses=MeSerializer)
    def get(self, request: Request) -> Response:
        """Whose token this is and what it may do."""
        return Response(
            {
                "name": self.actor.name,
                "organisation": self.actor.organisation.name,
                "permissions": sorted(self.actor.permissions),
            }
        )
