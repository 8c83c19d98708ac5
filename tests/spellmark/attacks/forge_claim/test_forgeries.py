"""The cheating accuser at small size: nothing he hands in is believed, and each gate is needed."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from spellmark.attacks.attack import AttackError
from spellmark.attacks.forge_claim import court as courts
from spellmark.attacks.forge_claim import hand_picked
from spellmark.attacks.forge_claim.adversarial import i_fgsm
from spellmark.attacks.forge_claim.catalogue import FORGERIES
from spellmark.attacks.forge_claim.court import new_key
from spellmark.attacks.forge_claim.forgery import ACCEPTED, forgery
from spellmark.attacks.forge_claim.outcomes import P_VALUE, POOL, ROOT, heard, verified
from spellmark.attacks.forge_claim.suite import run_forgeries
from spellmark.attacks.forge_claim.world import ACCUSER, QUICK, World, make_world
from spellmark.model_files.card import ModelCard
from spellmark.training import datasets

CARD = ModelCard(
    architecture="small-mlp", classes=10, channels=1, height=28, width=28, config={"width": 96},
    mean=(0.286,), std=(0.353,),
)  # fmt: skip
SIZES = replace(QUICK, images=800, candidates=64, steps=5, secrets=40)

# Trains a dozen small networks once for all of them.
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    return make_world(CARD, datasets.load("fashion-mnist"), SIZES)


@pytest.fixture(scope="module")
def found(world: World):
    return run_forgeries(world)


def test_a_true_claim_is_believed(world: World):
    assert world.loud.decision.verdict == "match"
    assert verified(world.court, world.loud.bundle) == ACCEPTED
    assert world.silent.decision.verdict == "no match"
    assert world.court.verify(world.silent.bundle).passed
    assert world.loud.statement.parameters["nullPool"]["models"] == SIZES.pool


def test_no_forgery_is_accepted_and_each_says_what_stopped_it(found):
    assert {one.name for one in found} == set(FORGERIES)
    for one in found:
        assert one.accepted == 0, one
        assert sum(one.stopped_by.values()) == one.tried > 0
    assert {one.variant for one in found if one.name == "adversarial images"} == {
        f"{kind}, eps {strength}"
        for kind in ("targeted", "untargeted")
        for strength in (0.1, 0.2, 0.3)
    }


def test_a_naive_protocol_would_have_believed_many(found):
    by_variant = {one.variant: one for one in found}
    assert by_variant["untargeted, eps 0.3"].naive == SIZES.innocents
    assert by_variant["untargeted, eps 0.3"].details["agreement"] > 0.6
    assert by_variant["ordinary images"].naive == SIZES.innocents
    by_name = {one.name: one for one in found}
    assert by_name["free labels"].naive == SIZES.innocents
    assert by_name["replayed triggers"].naive == SIZES.poisoned
    assert by_name["altered transcript"].naive > 0


def test_the_null_pool_alone_would_make_adversarial_claims_void(found):
    """As many as a naive protocol believes: where an innocent is accused, so is the pool."""
    for one in found:
        if one.name == "adversarial images" and one.naive:
            assert one.details["pool_would_pass"] > 0, one


def test_without_the_derivation_only_the_pool_stands_between(world: World, monkeypatch):
    """Each gate is tried alone: the forged triggers get past a registry that derives nothing."""
    images = world.test.images[:64]
    forged = hand_picked.Handed(images, world.claim.marked.labels(images))
    commitment = world.court.commit("cheat", new_key(world.parameters))
    claim = world.court.register(
        "cheat", commitment, forged.tree.root, marked=world.claim.marked,
        unmarked=world.claim.unmarked,
    )  # fmt: skip
    assert heard(world.court, claim, world.innocents[0]) == ROOT

    class Chosen:
        """A key that gives what the accuser chose."""

        parameters = replace(world.parameters, triggers=64)
        owner = "cheat"
        images, labels, tree, opening = forged.images, forged.labels, forged.tree, forged.opening

    monkeypatch.setattr(courts.Claim, "key", Chosen)
    monkeypatch.setattr(courts, "check_owner", lambda *_: world_check())
    assert heard(world.court, claim, world.innocents[0]) == POOL
    monkeypatch.setattr(world.court, "pool", [])
    assert heard(world.court, claim, world.innocents[1]) == ACCEPTED


def world_check():
    class Check:
        def require(self) -> None:
            return

    return Check()


def test_adversarial_images_stay_within_their_strength(world: World):
    images, labels = world.own.images[:16], world.own.labels[:16]
    models = [world.claim.unmarked]
    moved = i_fgsm(models, images, labels, strength=0.1, steps=4, is_targeted=False)
    assert moved.dtype == np.uint8
    assert moved.shape == images.shape
    assert 0 < np.abs(moved.astype(int) - images).max() <= 26
    right = (models[0].labels(images) == labels).mean()
    assert (models[0].labels(moved) == labels).mean() < right
    wanted = (labels + 1) % 10
    aimed = i_fgsm(models, images, wanted, strength=0.3, steps=6, is_targeted=True)
    assert (models[0].labels(aimed) == wanted).mean() > 0.5


def test_the_court_counts_keys_runs_and_triggers(world: World):
    before = world.court.commit("counted", new_key(world.parameters))
    after = world.court.commit("counted", new_key(world.parameters))
    assert (before.number, after.number) == (1, 2)
    assert before.binding != after.binding
    assert heard(world.court, world.claim, world.innocents[0]) == P_VALUE
    assert not set(world.silent.opened) & set(world.loud.opened)
    assert world.claim.owner == ACCUSER


def test_outcomes_are_counted():
    one = forgery("free labels", [ACCEPTED, "a", "b", "a"], naive=3, innocents=2)
    assert (one.tried, one.accepted, one.stopped_by) == (4, 1, {"a": 2, "b": 1})
    assert one.details == {"innocents": 2}


def test_unknown_forgeries_are_refused():
    with pytest.raises(AttackError, match="no forgery"):
        run_forgeries(None, ["sorcery"])
