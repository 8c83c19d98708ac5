"""Seed grinding: secrets are tried, once the suspect is known, until one suits it.

Each secret has to be committed to before the registry draws its part, so each is a registration
that counts: the n-th key of an owner gets the share 1 / (n (n + 1)) of alpha.
"""

import secrets
from dataclasses import replace

from spellmark.attacks.attack import Progress
from spellmark.attacks.forge_claim.court import new_key
from spellmark.attacks.forge_claim.forgery import Forgery, forgery
from spellmark.attacks.forge_claim.outcomes import decided
from spellmark.attacks.forge_claim.world import World
from spellmark.evidence.trigger_rule import TriggerRuleError
from spellmark.watermarks.trigger.examine import examine, rule_for
from spellmark.watermarks.trigger.parameters import LEAST_DIGITS

OWNER = "grinder"
TOO_MANY = "no run is held under a key of so high a number: none could end in a match"


def forge(world: World, progress: Progress) -> list[Forgery]:
    """Grind against the last innocent, at the accuser's alpha and at the largest a key may have.

    At a small alpha as many secrets would be refused if nobody counted them: only a large one shows
    that the count is needed, and there. The owner stays the same, so the second keys count on.
    """
    found: list[Forgery] = []
    for digits in (world.parameters.digits, LEAST_DIGITS):

        def show(share: float, step: str, done: int = len(found)) -> None:
            progress((done + share) / 2, step)

        found.append(grind(world, digits, show))
    return found


def grind(world: World, digits: int, progress: Progress) -> Forgery:
    """Secrets under keys whose alpha is 10 to the minus digits. naive: those that a registry would
    believe which draws nothing, takes secrets at any time and counts no tries, at the same alpha.
    """
    suspect = world.innocents[-1]
    # No more triggers than a run opens: the rest would be derived for nothing.
    parameters = replace(world.parameters, triggers=world.parameters.queries, digits=digits)
    alpha, first = parameters.alpha, rule_for(parameters)
    outcomes, smallest = [], []
    for number in range(world.sizes.secrets):
        progress(number / world.sizes.secrets, f"{number:,} of {world.sizes.secrets:,} secrets")
        commitment = world.court.commit(OWNER, new_key(parameters))
        key, seed = commitment.key(OWNER), secrets.token_bytes(32)
        try:
            rule = rule_for(parameters, registration=commitment.number)
            decision = examine(suspect.labels, key, rule, seed=seed)
            outcomes.append(decided(decision))
        except TriggerRuleError:
            # Of few classes, so many keys leave no p-value that is small enough.
            decision = examine(suspect.labels, key, first, seed=seed)
            outcomes.append(TOO_MANY)
        smallest.append(10 ** -decision.outcome.growth[-1])
    return forgery(
        "seed grinding",
        outcomes,
        variant=f"{world.sizes.secrets:,} secrets at α = {alpha:g}",
        naive=sum(tail <= alpha for tail in smallest),
        smallest_p_uncounted=min(smallest),
        # As many owners with one key each: the registry counts the keys of one owner alone.
        if_each_had_another_owner=sum(first.tries * tail <= alpha for tail in smallest),
        # Of all keys of one owner together, and of as many owners.
        expected_at_most=alpha,
        expected_of_as_many_owners=alpha * world.sizes.secrets,
    )
