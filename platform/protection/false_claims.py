"""The red team: an accuser who cheats, with models like a version, against the code that judges.

It needs no key. What it tries to have believed are claims against innocent models.
"""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from django.db import transaction

from accounts.actors import WRITE, Actor
from jobs.services import job_create
from protection.errors import ProtectionError
from protection.models import Rehearsal
from protection.services import card_of
from registry.models import Version
from spellmark.attacks.forge_claim.catalogue import BUDGETS, FORGERIES

FALSE_CLAIMS_JOB = "false-claims"
USUAL_BUDGET = "full"

BUDGET_WORDS = {
    "full": "Full: {models} models and {secrets:,} ground secrets, as the documentation quotes.",
    "quick": "Quick: {models} models and {secrets:,} ground secrets. To see that all is in order.",
}


@transaction.atomic
def false_claims_create(
    *, actor: Actor, version: Version, dataset: str, budget: str = USUAL_BUDGET
) -> Rehearsal:
    """Start the job that makes every kind of false claim with models like the version's.

    All of them are trained anew on the data set; the version's own weights are not touched. Raises
    ProtectionError.
    """
    actor.require(WRITE)
    if version.state != Version.State.PUBLISHED:
        raise ProtectionError(f"{version} is a draft.", hint="Publish it first.")
    card_of(version)
    if budget not in BUDGETS:
        raise ProtectionError(
            f"There is no size “{budget}”.", hint=f"Choose from: {', '.join(BUDGETS)}."
        )
    rehearsal_id = uuid.uuid4()
    job = job_create(
        organisation_id=actor.organisation.id,
        kind=FALSE_CLAIMS_JOB,
        title=f"Make false claims with models like {version}",
        queue="gpu",
        payload={"rehearsal": str(rehearsal_id)},
        created_by=actor.name,
    )
    return Rehearsal.objects.create(
        id=rehearsal_id,
        version=version,
        dataset=dataset,
        attacks=list(FORGERIES),
        budget=budget,
        job=job,
        created_by=actor.name,
    )


class FalseClaim(NamedTuple):
    """One kind of false claim, as its row shows it."""

    label: str
    sentence: str
    variant: str
    tried: str
    accepted: int
    stopped_by: list[str]
    naive: str


def false_claims(results: Sequence[Mapping[str, Any]]) -> list[FalseClaim]:
    """What came of a rehearsal's false claims, as they were made."""
    return [
        FalseClaim(
            one["name"].capitalize(),
            FORGERIES[one["name"]],
            one["variant"],
            f"{one['tried']:,}",
            one["accepted"],
            [f"{count:,} × {words}" for words, count in one["stopped_by"].items()],
            _naive(one),
        )
        for one in results
    ]


def tried_of(results: Sequence[Mapping[str, Any]]) -> int:
    """How many false claims were made, all kinds together."""
    return sum(one["tried"] for one in results)


def accepted_of(results: Sequence[Mapping[str, Any]]) -> int:
    """How many of them were believed. It should be none."""
    return sum(one["accepted"] for one in results)


def in_short(results: Sequence[Mapping[str, Any]]) -> str:
    """What came of all of them, in a sentence or two."""
    tried, accepted = tried_of(results), accepted_of(results)
    if accepted:
        return (
            f"{accepted:,} of {tried:,} false claims {'was' if accepted == 1 else 'were'} "
            "believed: rely on no match of this installation until that is mended."
        )
    return (
        f"{tried:,} false claims were made, and none was believed. The accuser’s one true claim, "
        "against a copy of his own model, was a match by the same code."
    )


def budgets() -> list[tuple[str, str]]:
    """The sizes with what they mean, for a form."""
    return [
        (name, words.format(models=BUDGETS[name].models, secrets=BUDGETS[name].secrets))
        for name, words in BUDGET_WORDS.items()
    ]


def _naive(one: Mapping[str, Any]) -> str:
    """So many of so many innocents, changed records or secrets."""
    if one["naive"] is None:
        return "–"
    details = one["details"]
    of = details.get("innocents", details.get("changes", one["tried"]))
    return f"{one['naive']:,} of {of:,}"
