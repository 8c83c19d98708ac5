"""What all endpoints share: the actor, pages, and writes that a repeated key does not repeat."""

import functools
import hashlib
import hmac
from collections.abc import Callable, Sequence
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpResponse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.views import APIView

from accounts.actors import Actor
from api.models import IdempotencyRecord
from api.pagination import Pages
from spellmark.errors import SpellmarkError


class IdempotencyError(SpellmarkError):
    """An idempotency key that was used for another request."""


class AnyAccept(DefaultContentNegotiation):
    """Downloads and JSON are sent whatever `Accept` says: each address has one form only."""

    def select_renderer(
        self,
        request: Request,
        renderers: Sequence[BaseRenderer],
        format_suffix: str | None = None,
    ) -> tuple[BaseRenderer, str]:
        """JSON, for what is no download."""
        return renderers[0], renderers[0].media_type or ""


class Endpoint(APIView):
    """One address. Its methods call one service or selector each."""

    content_negotiation_class = AnyAccept
    pagination_class = Pages  # the schema reads it

    @property
    def actor(self) -> Actor:
        """Who asks."""
        actor = self.request.auth
        assert isinstance(actor, Actor)
        return actor

    def page(
        self, request: Request, rows: QuerySet[Any], serializer: type[BaseSerializer[Any]]
    ) -> Response:
        """One page of rows."""
        pages = self.pagination_class()
        chosen = pages.paginate_queryset(rows, request, view=self)
        return pages.get_paginated_response(serializer(chosen, many=True).data)

    def read(self, serializer: BaseSerializer[Any]) -> dict[str, Any]:
        """The request's validated fields. Raises a ValidationError."""
        serializer.is_valid(raise_exception=True)
        data: dict[str, Any] = serializer.validated_data
        return data


Write = Callable[..., Response]
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    location="header",
    description="Any text; the same key with the same request is done once.",
)


def idempotent(write: Write) -> Write:
    """With an `Idempotency-Key` header the same write is done once and its answer repeated.

    The record and the write stand in one transaction: a second request waits for the first.
    """

    @functools.wraps(write)
    def once(view: Endpoint, request: Request, *args: Any, **kwargs: Any) -> Response:
        key = request.headers.get("Idempotency-Key")
        if not key:
            return write(view, request, *args, **kwargs)
        with transaction.atomic():
            record, is_new = IdempotencyRecord.objects.select_for_update().get_or_create(
                organisation=view.actor.organisation,
                key=key[:200],
                defaults={"fingerprint": (fingerprint := _fingerprint(request, view.actor))},
            )
            if record.fingerprint != fingerprint:
                raise IdempotencyError(
                    "This idempotency key was used for another request.",
                    hint="Use a new key for every new request.",
                )
            if not is_new:
                return Response(
                    record.body, status=record.status, headers={"Idempotent-Replay": "true"}
                )
            response = write(view, request, *args, **kwargs)
            record.status, record.body = response.status_code, response.data
            record.save()
        return response

    return extend_schema(parameters=[IDEMPOTENCY_KEY])(once)


def download(data: bytes, *, name: str, content_type: str) -> HttpResponse:
    """Bytes as a file to be saved."""
    return HttpResponse(
        data,
        content_type=content_type,
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "X-Content-Type-Options": "nosniff",
        },
    )


def _fingerprint(request: Request, actor: Actor) -> str:
    # With the permissions, so that nobody is told an answer that they could not have got.
    permissions = " ".join(sorted(actor.permissions))
    message = f"{permissions}\n{request.method} {request.get_full_path()}\n".encode()
    message += request.body
    return hmac.new(settings.SECRET_KEY.encode(), message, hashlib.sha256).hexdigest()
