"""What every page knows: who looks, their organisations, and where they may go."""

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest

from accounts.actors import AUDIT, MANAGE, READ
from web.viewer import actor_of, memberships


@dataclass(frozen=True)
class Place:
    """An entry of the navigation: shown to holders of a permission, lit on its own pages."""

    label: str
    name: str
    permissions: tuple[str, ...]
    pages: tuple[str, ...]


PLACES = (
    Place(
        "Models",
        "models",
        (READ,),
        ("model", "version", "lock", "prompt-lock", "file", "alias"),
    ),
    Place("Editors", "editors", (READ,), ("editor",)),
    Place("Jobs", "jobs", (READ,), ("job",)),
    Place("Suspects", "suspects", (READ,), ("suspect",)),
    Place("Runs", "runs", (READ, AUDIT), ("run", "fingerprint")),
    Place("Null pool", "references", (READ,), ("reference",)),
    Place("Cases", "cases", (READ, AUDIT), ("case",)),
    Place("Certificates", "certificates", (READ, AUDIT), ("certificate",)),
    Place("Ledger", "ledger", (READ, AUDIT), ("ledger", "entry")),
    Place("Members", "members", (MANAGE,), ("members",)),
    Place("API tokens", "tokens", (MANAGE,), ("token",)),
)


def viewer(request: HttpRequest) -> dict[str, Any]:
    """The context processor. `actor` is None for a person outside all organisations."""
    actor = actor_of(request)
    match = getattr(request, "resolver_match", None)
    here = (match.url_name or "") if match else ""
    return {
        "actor": actor,
        "organisations": memberships(request),
        "navigation": [
            {"label": place.label, "url": f"web:{place.name}", "here": here.startswith(place.pages)}
            for place in PLACES
            if actor and actor.may(*place.permissions)
        ],
    }
