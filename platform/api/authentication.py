"""API tokens in the Authorization header."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from accounts.actors import Actor
from accounts.services import token_use


class TokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer smk_…`; `request.auth` is then the actor."""

    def authenticate(self, request: Request) -> tuple[Any, Actor] | None:
        """The token's maker and the actor; None without the header."""
        scheme, _, text = get_authorization_header(request).decode("latin-1").partition(" ")
        if scheme.lower() != "bearer":
            return None
        token = token_use(text=text.strip())
        if token is None:
            raise AuthenticationFailed("This token is not valid: unknown, expired or revoked.")
        return token.created_by, Actor.from_token(token)

    def authenticate_header(self, request: Request) -> str:
        """What a 401 answer asks for."""
        return "Bearer"


class IsAuthenticated(BasePermission):
    """Only requests with a valid token."""

    message = "Send a token: Authorization: Bearer smk_…"

    def has_permission(self, request: Request, view: Any) -> bool:
        """Whether an actor stands behind the request."""
        return isinstance(request.auth, Actor)


class TokenScheme(OpenApiAuthenticationExtension):
    """The token in the OpenAPI schema."""

    target_class = "api.authentication.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        """An HTTP bearer scheme."""
        return {"type": "http", "scheme": "bearer", "description": "An API token, smk_…"}
