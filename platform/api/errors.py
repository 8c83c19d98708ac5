"""The one error shape: {"error": {"code", "message", "hint", "fields"}}."""

import logging
import re
from typing import Any

from django.core.exceptions import (
    ObjectDoesNotExist,
    PermissionDenied,
    RequestDataTooBig,
)
from django.db import DataError, IntegrityError
from django.http import Http404
from rest_framework import exceptions, serializers, status
from rest_framework.response import Response
from rest_framework.views import exception_handler, set_rollback

from accounts.actors import ForbiddenError
from ledger.selectors import NotYetLoggedError
from spellmark.errors import SpellmarkError

logger = logging.getLogger("spellmark.api")

STATUS = {
    ForbiddenError: status.HTTP_403_FORBIDDEN,
    NotYetLoggedError: status.HTTP_409_CONFLICT,
}
# What Django and the database refuse: status, code, message, hint.
REFUSED = {
    RequestDataTooBig: (413, "too_large", "The request is too large.", "Send less at once."),
    DataError: (
        400, "invalid", "The request holds text or a number that cannot be stored.",
        "Look for control characters and for very long or large values.",
    ),
    IntegrityError: (
        409, "conflict", "Another request changed the same thing at the same time.",
        "Look at what is there now, then try again.",
    ),
}  # fmt: skip


class ErrorDetailSerializer(serializers.Serializer[Any]):
    """What went wrong and what to do."""

    code = serializers.CharField()
    message = serializers.CharField()
    hint = serializers.CharField(allow_blank=True)
    fields = serializers.DictField(required=False)  # type: ignore[assignment]


class ErrorSerializer(serializers.Serializer[Any]):
    """Every error of this API."""

    error = ErrorDetailSerializer()


def handle(error: Exception, context: dict[str, Any]) -> Response:
    """Turn an exception into an answer; one that is nobody's input is logged and becomes a 500."""
    if isinstance(error, SpellmarkError):
        set_rollback()
        return _answer(_status(error), _code(error), error.message, error.hint)
    for kind, answer in REFUSED.items():
        if isinstance(error, kind):
            set_rollback()
            return _answer(*answer)
    if isinstance(error, Http404 | ObjectDoesNotExist):
        error = exceptions.NotFound("There is no such thing here.")
    elif isinstance(error, PermissionDenied):
        error = exceptions.PermissionDenied()
    response = exception_handler(error, context)
    if response is None or not isinstance(error, exceptions.APIException):
        set_rollback()
        logger.error("%s failed", context["request"].path, exc_info=error)
        return _answer(
            status.HTTP_500_INTERNAL_SERVER_ERROR, "error", "This is an error of the platform.",
            "The operator finds it in the web process's log.",
        )  # fmt: skip
    if isinstance(error, exceptions.ValidationError):
        message = "The request does not fit: see fields."
        detail = _answer(response.status_code, "invalid", message, "Correct the named fields.")
        detail.data["error"]["fields"] = response.data
    else:
        codes = error.get_codes()
        code = codes if isinstance(codes, str) else "error"
        detail = _answer(response.status_code, code, str(error.detail), "")
    for name in ("WWW-Authenticate", "Retry-After"):
        if name in response.headers:
            detail[name] = response.headers[name]
    return detail


def _answer(status_code: int, code: str, message: str, hint: str) -> Response:
    return Response({"error": {"code": code, "message": message, "hint": hint}}, status=status_code)


def _status(error: SpellmarkError) -> int:
    return next(
        (code for kind, code in STATUS.items() if isinstance(error, kind)),
        status.HTTP_400_BAD_REQUEST,
    )


def _code(error: SpellmarkError) -> str:
    name = type(error).__name__.removesuffix("Error")
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
