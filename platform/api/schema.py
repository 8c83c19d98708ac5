"""What every operation has in common in the OpenAPI schema."""

from typing import Any

from drf_spectacular.openapi import AutoSchema

from api.errors import ErrorSerializer


class Schema(AutoSchema):
    """Adds the one error shape to every operation's answers."""

    def _get_response_bodies(self, direction: str = "response") -> dict[str, Any]:
        bodies: dict[str, Any] = super()._get_response_bodies(direction)
        error = self._get_response_for_code(ErrorSerializer, "default", direction=direction)
        return {**bodies, "default": {**error, "description": "What went wrong and what to do."}}
