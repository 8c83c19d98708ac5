"""Hand-picked images: the accuser hands in what innocents answer as he says, early if need be."""

import hashlib
import secrets
from dataclasses import asdict, replace
from typing import Any

from spellmark.attacks.attack import Progress
from spellmark.attacks.forge_claim.court import Model, new_key
from spellmark.attacks.forge_claim.forgery import Forgery, forgery
from spellmark.attacks.forge_claim.outcomes import forged, heard, verified
from spellmark.attacks.forge_claim.world import ACCUSER, HANDED_IN, World
from spellmark.evidence import transcript
from spellmark.evidence.binomial_test import binomial_tail
from spellmark.evidence.null_pool import KINDS, Reference
from spellmark.evidence.transcript import Exchange
from spellmark.evidence.trigger_leaves import Opening, TriggerTree, leaf_hash
from spellmark.evidence.trigger_pool import AskedReference
from spellmark.evidence.trigger_rule import TriggerRule
from spellmark.evidence.verdicts import MATCH
from spellmark.watermarks.trigger.trigger_key import Images, Labels, image_digest


def forge(world: World, progress: Progress) -> list[Forgery]:
    """Ordinary images with the classes that the accuser's model gives them."""
    images = world.test.images[:HANDED_IN]
    labels = world.claim.marked.labels(images)
    return [handed_in(world, "hand-picked images", "ordinary images", images, labels)]


def handed_in(
    world: World, name: str, variant: str, images: Images, labels: Labels, **details: Any
) -> Forgery:
    """Accuse innocents by these images and labels.

    Every one of them with the root registered: committed to and logged before any run, as early as
    one likes. The first of them with the images smuggled in: they take the place of the drawn
    triggers in the record of its run, under the old certificate, a changed one with the old
    signature, and one that the accuser signs himself. naive: how many innocents a protocol accuses
    that takes the images and counts the hits.
    """
    triggers = Handed(images, labels)
    # He commits anew, as he must; what he registers is not what his key gives.
    commitment = world.court.commit(ACCUSER, new_key(world.parameters))
    claim = world.court.register(
        ACCUSER, commitment, triggers.tree.root,
        marked=world.claim.marked, unmarked=world.claim.unmarked,
    )  # fmt: skip
    outcomes = [heard(world.court, claim, suspect) for suspect in world.innocents]
    outcomes += _smuggled(world, triggers, world.innocents[0])
    agreement = [float((one.labels(images) == labels).mean()) for one in world.innocents]
    rule = TriggerRule(classes=world.claim.marked.card.classes, probes=len(images))
    return forgery(
        name,
        outcomes,
        variant=variant,
        naive=sum(accused(rule, triggers, one) for one in world.innocents),
        innocents=len(world.innocents),
        agreement=round(sum(agreement) / len(agreement), 3),
        lowest_agreement=round(min(agreement), 3),
        pool=len(world.court.pool),
        pool_would_pass=sum(_passes(rule, triggers, one) for one in world.court.pool),
        **details,
    )


def accused(rule: TriggerRule, triggers: "Handed", model: Model) -> bool:
    """Whether hits alone, counted on what was handed in, make a match."""
    hits = int((model.labels(triggers.images) == triggers.labels).sum())
    tail = binomial_tail(hits, len(triggers.images), rule.classes)
    return rule.p_value_of(tail) <= rule.alpha


class Handed:
    """Images and labels that somebody chose, in a tree of their own."""

    def __init__(self, images: Images, labels: Labels) -> None:
        self.images, self.labels = images, labels
        self.salts = [secrets.token_bytes(32) for _ in images]
        self.tree = TriggerTree(
            tuple(
                leaf_hash(leaf, self.salts[leaf], image_digest(image), int(labels[leaf]))
                for leaf, image in enumerate(images)
            )
        )

    def opening(self, leaf: int) -> Opening:
        return Opening(int(self.labels[leaf]), self.salts[leaf], self.tree.path(leaf))


def _passes(rule: TriggerRule, triggers: Handed, model: Model) -> bool:
    """Whether this model of the pool would void the claim, had everything before it failed."""
    answers = model.labels(triggers.images)
    hits = int((answers == triggers.labels).sum())
    asked = AskedReference(Reference(KINDS[0], "0" * 64), tuple(answers.tolist()), hits)
    return asked.passes(rule, triggers.labels.tolist())


def _smuggled(world: World, triggers: Handed, suspect: Model) -> list[str]:
    header, _ = transcript.read(world.silent.bundle.transcript or b"")
    answers = suspect.labels(triggers.images)
    rule = replace(TriggerRule(**header["rule"]), triggers=len(triggers.images))
    count = min(rule.probes, len(triggers.images))
    exchanges = [
        Exchange(
            number=leaf, probe=leaf, image_index=leaf,
            image_sha256=image_digest(triggers.images[leaf]), label=int(triggers.labels[leaf]),
            first_slot=0, request_sha256="0" * 64, state="answered", level="labels",
            labels=(int(answers[leaf]),),
        )
        for leaf in range(count)
    ]  # fmt: skip
    openings = {str(leaf): triggers.opening(leaf).as_dict() for leaf in range(count)}
    header |= {"rule": asdict(rule), "root": triggers.tree.root, "openings": openings}
    lines = transcript.write(
        {name: value for name, value in header.items() if name != "format"}, exchanges
    )
    hits = sum(one.label == one.labels[0] for one in exchanges)
    smallest = rule.p_value_of(binomial_tail(hits, count, rule.classes))
    statement = replace(
        world.silent.statement,
        transcript_digest=hashlib.sha256(lines).hexdigest(),
        statistic=hits,
        p_value=smallest,
        verdict=MATCH if smallest <= rule.alpha else world.silent.statement.verdict,
        parameters={**world.silent.statement.parameters, "triggerRoot": triggers.tree.root},
    )
    bundle = replace(world.silent.bundle, transcript=lines, answers={})
    return [verified(world.court, bundle), *forged(world.court, bundle, statement)]
