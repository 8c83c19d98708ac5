"""The log for everyone's tools: C2SP tlog-tiles under /log/, without a token.

Entries are digests and say nothing of anybody. `SPELLMARK_LOG_PUBLIC=0` closes it.
"""

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from ledger.selectors import (
    NotYetLoggedError,
    certificate_bundle,
    checkpoint_latest,
    key_set,
    policy,
    succession_of,
)
from ledger.tiles import tile_read
from spellmark.certificates import tiles
from spellmark.certificates.errors import FormatError

TEXT = "text/plain; charset=utf-8"
FOREVER = "public, max-age=31536000, immutable"
BRIEFLY = "public, max-age=2"


@require_safe
def checkpoint(request: HttpRequest) -> HttpResponse:
    """The newest published checkpoint."""
    _check_public()
    latest = checkpoint_latest()
    if latest is None:
        raise Http404("The log has no entries yet.")
    return _answer(bytes(latest.note), TEXT, BRIEFLY)


@require_safe
def tile(request: HttpRequest, path: str) -> HttpResponse:
    """A tile or an entry bundle."""
    _check_public()
    try:
        data = tile_read(tiles.parse(f"tile/{path}"))
    except FormatError as error:
        raise Http404(str(error)) from None
    if data is None:
        raise Http404("The log is not that long.")
    return _answer(data, "application/octet-stream", FOREVER)


@require_safe
def policy_file(request: HttpRequest) -> HttpResponse:
    """The tlog-policy: the log's keys, its witnesses, the quorum."""
    _check_public()
    return _answer(policy().dumps(), TEXT, BRIEFLY)


@require_safe
def keys(request: HttpRequest) -> HttpResponse:
    """The key set: every key with its purpose and its time of validity."""
    _check_public()
    answer = JsonResponse(key_set())
    answer["Cache-Control"] = BRIEFLY
    return answer


@require_safe
def succession(request: HttpRequest, keyid: str) -> HttpResponse:
    """The word of the certificate key before this one for it: a bundle for `spellmark verify`."""
    _check_public()
    certificate = succession_of(keyid)
    if certificate is None:
        raise Http404("No other key vouches for this one.")
    try:
        bundle = certificate_bundle(certificate)
    except NotYetLoggedError as error:
        raise Http404(str(error)) from None
    return _answer(bundle.dumps(), "application/zip", BRIEFLY)


def _check_public() -> None:
    if not settings.LOG_PUBLIC:
        raise Http404("The log of this installation is not public.")


def _answer(data: bytes, content_type: str, cache: str) -> HttpResponse:
    # Anybody's page may read it: there is nothing to protect, and browsers can verify.
    headers = {"Cache-Control": cache, "Access-Control-Allow-Origin": "*"}
    return HttpResponse(data, content_type=content_type, headers=headers)
