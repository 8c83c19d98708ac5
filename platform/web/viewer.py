"""Who looks at a page: a person, acting in one of their organisations."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import render
from django.urls import reverse
from django_htmx.http import HttpResponseClientRedirect

from accounts.actors import Actor
from accounts.models import Membership
from accounts.selectors import membership_list

SESSION_KEY = "organisation"
PAGE_SIZE = 50

View = Callable[..., HttpResponse]


def memberships(request: HttpRequest) -> list[Membership]:
    """The person's organisations with their roles; none for a stranger."""
    if not hasattr(request, "_memberships"):
        user = getattr(request, "user", None)
        known = user is not None and user.is_authenticated
        request._memberships = list(membership_list(user=user)) if known else []
    found: list[Membership] = request._memberships
    return found


def actor_of(request: HttpRequest) -> Actor | None:
    """The person acting in the organisation that they chose last, or else in their first."""
    found = memberships(request)
    chosen = request.session.get(SESSION_KEY) if found else None
    current = next((m for m in found if str(m.organisation_id) == chosen), None)
    return Actor.from_membership(current or found[0]) if found else None


def page(*permissions: str, methods: Sequence[str] = ("GET", "HEAD")) -> Callable[[View], View]:
    """Make `view(request, actor, …)` a page for people who hold one of the permissions, if any."""

    def decorate(view: View) -> View:
        @functools.wraps(view)
        def shown(request: HttpRequest, **kwargs: Any) -> HttpResponse:
            if request.method not in methods:
                return HttpResponseNotAllowed(methods)
            if not request.user.is_authenticated:
                return _to_login(request)
            actor = actor_of(request)
            if actor is None:
                return render(request, "accounts/no_organisation.html", status=403)
            if permissions:
                actor.require(*permissions)
            return view(request, actor, **kwargs)

        return shown

    return decorate


def form_page(*permissions: str) -> Callable[[View], View]:
    """A page with a form that posts to its own address."""
    return page(*permissions, methods=("GET", "HEAD", "POST"))


def action(*permissions: str) -> Callable[[View], View]:
    """Something that a button does; it has no page of its own."""
    return page(*permissions, methods=("POST",))


def paginate(request: HttpRequest, rows: QuerySet[Any]) -> Page[Any]:
    """The page of rows that `?page=` asks for; a page that does not exist gives the nearest."""
    return Paginator(rows, PAGE_SIZE).get_page(request.GET.get("page"))


def _to_login(request: HttpRequest) -> HttpResponse:
    if request.method == "PUT":
        # The upload script would follow a redirect and take the login page for an answer.
        return HttpResponse(status=401)
    if getattr(request, "htmx", False):
        return HttpResponseClientRedirect(reverse("web:login"))
    return redirect_to_login(request.get_full_path(), reverse("web:login"))
