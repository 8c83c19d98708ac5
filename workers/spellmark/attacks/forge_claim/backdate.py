"""Backdating: a registration that is made to look older than it is.

What a registry holds in its database is tried in the platform's own tests; here are the documents
that outsiders get to see.
"""

from dataclasses import replace
from datetime import timedelta

from spellmark.attacks.attack import Progress
from spellmark.attacks.forge_claim.court import OPENED
from spellmark.attacks.forge_claim.forgery import ACCEPTED, Forgery, forgery
from spellmark.attacks.forge_claim.outcomes import (
    forged,
    verified,
    with_old_signature,
    with_own_signature,
)
from spellmark.attacks.forge_claim.world import ACCUSER, World
from spellmark.certificates.bundle import Bundle
from spellmark.certificates.statements import Registration

YEARS = timedelta(days=3 * 365)


def forge(world: World, progress: Progress) -> list[Forgery]:
    """Another date under the old signature or one's own; a place in the log that is another
    entry's; a date before the registry had its key; a registration that came after the verdict.
    """
    court, claim = world.court, world.claim
    genuine = court.registration(ACCUSER, claim.commitment, claim.root)
    _, bundle = court.log(genuine)
    older = replace(genuine, registered_at=genuine.registered_at - timedelta(days=30))
    before_all = replace(genuine, registered_at=OPENED - YEARS)
    outcomes = [
        _believed(world, with_old_signature(bundle, older)),
        _believed(world, with_own_signature(bundle, older)),
        # The registry itself signs late, for an entry that stands early.
        _believed(world, court.stated(genuine)),
        _believed(world, court.log(before_all)[1]),
    ]
    # A run that was held before its registration stood in the log.
    index, _ = court.log(genuine)
    late = replace(world.loud.statement, registration_index=index + 2)
    _, logged = court.log(late)
    outcomes.append(
        verified(
            court,
            replace(
                logged,
                transcript=world.loud.bundle.transcript,
                answers=world.loud.bundle.answers,
            ),
        )
    )
    moved = replace(world.loud.statement, registration_index=0)
    outcomes += forged(court, world.loud.bundle, replace(moved, registration_digest="0" * 64))
    return [forgery("backdating", outcomes)]


def _believed(world: World, bundle: Bundle) -> str:
    """Whether outsiders take a registration for what it says."""
    report = world.court.verify(bundle)
    if report.passed and isinstance(report.statement, Registration):
        return ACCEPTED
    failed = next((one.name for one in report.checks if one.passed is False), "statement")
    return f"spellmark verify, step “{failed}”"
