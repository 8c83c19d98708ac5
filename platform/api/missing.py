"""Addresses that do not exist, told in the one error shape."""

from typing import Any

from rest_framework.exceptions import NotFound
from rest_framework.request import Request

from api.endpoints import Endpoint


class Missing(Endpoint):
    """Everything that is no other endpoint's."""

    schema = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Answer 404, to whoever has a token."""
        super().initial(request, *args, **kwargs)
        raise NotFound("There is no such address.")
