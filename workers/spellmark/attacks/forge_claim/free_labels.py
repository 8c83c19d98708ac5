"""Free labels: derived images, but with the labels that the suspect gives them anyway.

With inputs that follow from a key and labels that do not, forgery succeeds every time: so both are
derived, and both stand in the tree.
"""

import hashlib
from dataclasses import replace

from spellmark.attacks.attack import Progress
from spellmark.attacks.forge_claim.court import new_key
from spellmark.attacks.forge_claim.forgery import Forgery, forgery
from spellmark.attacks.forge_claim.hand_picked import Handed, accused
from spellmark.attacks.forge_claim.outcomes import forged, heard, verified
from spellmark.attacks.forge_claim.world import ACCUSER, HANDED_IN, World
from spellmark.evidence import transcript
from spellmark.evidence.trigger_rule import TriggerRule
from spellmark.evidence.verdicts import MATCH


def forge(world: World, progress: Progress) -> list[Forgery]:
    """Registered under their own root, and written over the labels of a run that was held."""
    outcomes, naive = [], 0
    for suspect in world.innocents:
        commitment = world.court.commit(ACCUSER, new_key(world.parameters))
        images = commitment.key(ACCUSER).images[:HANDED_IN]
        triggers = Handed(images, suspect.labels(images))
        claim = world.court.register(
            ACCUSER, commitment, triggers.tree.root,
            marked=world.claim.marked, unmarked=world.claim.unmarked,
        )  # fmt: skip
        outcomes.append(heard(world.court, claim, suspect))
        rule = TriggerRule(classes=world.claim.marked.card.classes, probes=len(images))
        naive += accused(rule, triggers, suspect)
    header, exchanges = transcript.read(world.silent.bundle.transcript or b"")
    relabelled = [replace(one, label=one.labels[0]) for one in exchanges]
    for one in relabelled:
        header["openings"][str(one.image_index)]["label"] = one.label
    header.pop("format")
    lines = transcript.write(header, relabelled)
    bundle = replace(world.silent.bundle, transcript=lines)
    statement = replace(
        world.silent.statement,
        transcript_digest=hashlib.sha256(lines).hexdigest(),
        statistic=len(relabelled),
        p_value=world.silent.statement.smallest_p,
        verdict=MATCH,
    )
    outcomes += [verified(world.court, bundle), *forged(world.court, bundle, statement)]
    return [forgery("free labels", outcomes, naive=naive, innocents=len(world.innocents))]
