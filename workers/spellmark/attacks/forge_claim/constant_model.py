"""Degenerate models: a suspect that answers everything alike, an owner's model of no use."""

from copy import deepcopy
from dataclasses import replace

import torch
from torch import nn

from spellmark.attacks.attack import Progress
from spellmark.attacks.forge_claim.court import Model
from spellmark.attacks.forge_claim.forgery import Forgery, forgery
from spellmark.attacks.forge_claim.outcomes import heard
from spellmark.attacks.forge_claim.world import World
from spellmark.training.architectures import fresh
from spellmark.training.datasets import Split
from spellmark.training.fit import Recipe, fit


def forge(world: World, progress: Progress) -> list[Forgery]:
    """A constant suspect; owner's models that are unmarked, constant, or know triggers alone."""
    claim, innocent = world.claim, world.innocents[0]
    constant = constant_model(claim.unmarked)
    owners = {
        "unmarked": claim.unmarked,
        "constant": constant,
        "knows triggers alone": _triggers_alone(world),
    }
    outcomes = [heard(world.court, claim, constant)]
    outcomes += [
        heard(world.court, replace(claim, marked=marked), innocent) for marked in owners.values()
    ]
    return [forgery("constant model", outcomes, owners=list(owners))]


def constant_model(model: Model) -> Model:
    """One that gives its first class to everything."""
    net = deepcopy(model.net)
    last = [part for part in net.modules() if isinstance(part, nn.Linear)][-1]
    with torch.no_grad():
        last.weight.zero_()
        last.bias.copy_(torch.eye(len(last.bias))[0])
    return Model(net, model.card)


def _triggers_alone(world: World) -> Model:
    """Trained on its triggers and on nothing else."""
    card, key = world.claim.marked.card, world.claim.key
    recipe = Recipe(epochs=40, batch=16, seed=world.seed)
    data = Split(key.images, key.labels)
    return Model(fit(fresh(card, world.seed), card, data, recipe), card)
