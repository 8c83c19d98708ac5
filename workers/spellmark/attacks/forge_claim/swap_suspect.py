"""A swapped suspect: the accuser's own copy answers, and the verdict is turned on another model."""

import hashlib
from dataclasses import replace

from spellmark.attacks.attack import Progress
from spellmark.attacks.forge_claim.forgery import Forgery, forgery
from spellmark.attacks.forge_claim.outcomes import forged, verified
from spellmark.attacks.forge_claim.world import World
from spellmark.evidence import transcript
from spellmark.evidence.verdicts import MATCH


def forge(world: World, progress: Progress) -> list[Forgery]:
    """From a match on his own copy and a run that found nothing on an innocent.

    The innocent's name is put on the match; the copy's answers are put into the innocent's run;
    half of them are (a model that answers some questions by the copy and some by itself).
    """
    loud, silent = world.loud, world.silent
    innocent = dict(silent.statement.suspect)
    header, exchanges = transcript.read(loud.bundle.transcript or b"")
    theirs, answers = transcript.read(silent.bundle.transcript or b"")
    header.pop("format"), theirs.pop("format")

    renamed = transcript.write({**header, "suspect": innocent}, exchanges)
    swapped = transcript.write({**theirs, "openings": header["openings"]}, exchanges)
    half = len(exchanges) // 2
    mixed = transcript.write(
        {**theirs, "openings": {**theirs["openings"], **header["openings"]}},
        [*exchanges[:half], *answers[half:]],
    )
    outcomes = forged(world.court, loud.bundle, replace(loud.statement, suspect=innocent))
    for lines in (renamed, swapped, mixed):
        bundle = replace(silent.bundle, transcript=lines)
        statement = replace(
            loud.statement,
            suspect=innocent,
            transcript_digest=hashlib.sha256(lines).hexdigest(),
            verdict=MATCH,
        )
        outcomes += [
            verified(world.court, replace(loud.bundle, transcript=lines)),
            verified(world.court, bundle),
            *forged(world.court, bundle, statement),
        ]
    return [forgery("swapped suspect", outcomes)]
