"""What holds for every answer: errors that a person can act on are told, and no cache keeps any."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.cache import add_never_cache_headers
from django.utils.http import url_has_allowed_host_and_scheme

from accounts.actors import ForbiddenError
from ledger.selectors import NotYetLoggedError
from spellmark.errors import SpellmarkError

STATUS = {ForbiddenError: 403, NotYetLoggedError: 409}


class ErrorPages:
    """Shows a SpellmarkError that a view did not handle itself, and keeps pages out of caches."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Pass the request on. Also error pages show whose organisation it is."""
        response = self.get_response(request)
        if not response.has_header("Cache-Control"):
            add_never_cache_headers(response)
        return response

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """The error in the form that the request can show; None for errors that are ours."""
        if not isinstance(error, SpellmarkError):
            return None
        status = next((code for kind, code in STATUS.items() if isinstance(error, kind)), 400)
        told = {"message": error.message, "hint": error.hint}
        if not request.accepts("text/html"):
            return JsonResponse(told, status=status)
        template = "error_fragment.html" if getattr(request, "htmx", False) else "error.html"
        return render(request, template, {**told, "back": _back(request)}, status=status)


def _back(request: HttpRequest) -> str:
    """Where the person came from, if that is one of our pages."""
    referer = request.headers.get("referer", "")
    ours = url_has_allowed_host_and_scheme(referer, {request.get_host()}, request.is_secure())
    return referer if ours else ""
