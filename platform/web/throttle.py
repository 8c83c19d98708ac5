"""A brake on guessing passwords: a few failures from one place for one address, then a pause."""

import hashlib

from django.core.cache import cache
from django.http import HttpRequest

MOST_FAILURES = 5
PAUSE_SECONDS = 15 * 60


def is_blocked(request: HttpRequest, email: str) -> bool:
    """Whether this place has failed too often for this address lately."""
    return int(cache.get(_key(request, email), 0)) >= MOST_FAILURES


def failed(request: HttpRequest, email: str) -> None:
    """Count a failure; the pause runs from the first one."""
    key = _key(request, email)
    if not cache.add(key, 1, PAUSE_SECONDS):
        try:
            cache.incr(key)
        except ValueError:  # it ran out between the two calls
            cache.set(key, 1, PAUSE_SECONDS)


def succeeded(request: HttpRequest, email: str) -> None:
    """Forget the failures."""
    cache.delete(_key(request, email))


def _key(request: HttpRequest, email: str) -> str:
    who = f"{request.META.get('REMOTE_ADDR', '')}|{email.strip().lower()}"
    return f"login:{hashlib.sha256(who.encode()).hexdigest()}"
