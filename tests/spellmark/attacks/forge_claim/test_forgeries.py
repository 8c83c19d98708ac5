"""The cheating accuser at small size: nothing he hands in is believed, and each gate is needed."""

import secrets
from collections.abc import Iterator
from dataclasses import replace
from random import Random

import numpy as np
import pytest

from spellmark.attacks.attack import AttackError
from spellmark.attacks.forge_claim import court as courts
from spellmark.attacks.forge_claim import grind_seeds, hand_picked
from spellmark.attacks.forge_claim import world as worlds
from spellmark.attacks.forge_claim.adversarial import i_fgsm
from spellmark.attacks.forge_claim.catalogue import BUDGETS, FORGERIES
from spellmark.attacks.forge_claim.court import Court, Model, new_key
from spellmark.attacks.forge_claim.forgery import ACCEPTED, forgery
from spellmark.attacks.forge_claim.outcomes import FEW, P_VALUE, POOL, ROOT, heard, verified
from spellmark.attacks.forge_claim.suite import run_forgeries
from spellmark.attacks.forge_claim.world import ACCUSER, World, make_world
from spellmark.evidence.null_pool import LEAST_MODELS
from spellmark.evidence.trigger_rule import TriggerRule
from spellmark.model_files.card import ModelCard
from spellmark.training import datasets
from spellmark.training.architectures import fresh

CARD = ModelCard(
    architecture="small-mlp", classes=10, channels=1, height=28, width=28, config={"width": 96},
    mean=(0.286,), std=(0.353,),
)  # fmt: skip
SIZES = replace(BUDGETS["quick"], images=800, candidates=64, steps=5, secrets=40)

# Trains three dozen small networks once for all of them.
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    # Most of the thirty of the pool are of the kind that trains at once.
    fast = tuple(("small-mlp", {"width": width}) for width in (128, 64, 32))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worlds, "OTHERS", (worlds.OTHERS[0], *fast))
        yield make_world(CARD, datasets.load("fashion-mnist"), SIZES)


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
    assert by_name["altered transcript"].naive == 1
    # Left out, asked twice, not drawn, cut off, at an α of no key: it contradicts itself.
    assert by_name["altered transcript"].details == {"changes": 9, "caught_by_the_test": 5}


def test_the_null_pool_alone_would_make_adversarial_claims_void(found):
    """As many as a naive protocol believes: where an innocent is accused, so is the pool."""
    for one in found:
        if one.name == "adversarial images" and one.naive:
            assert one.details["pool_would_pass"] > 0, one


def test_without_the_derivation_only_the_pool_stands_between(world: World, monkeypatch):
    """Each gate is tried alone: the forged triggers get past a registry that derives nothing."""
    # Enough for three runs, none of which opens a trigger twice.
    images = world.test.images[:96]
    forged = hand_picked.Handed(images, world.claim.marked.labels(images))
    commitment = world.court.commit("cheat", new_key(world.parameters))
    claim = world.court.register(
        "cheat", commitment, forged.tree.root, marked=world.claim.marked,
        unmarked=world.claim.unmarked,
    )  # fmt: skip
    assert heard(world.court, claim, world.innocents[0]) == ROOT

    class Chosen:
        """A key that gives what the accuser chose."""

        parameters = replace(world.parameters, triggers=96)
        owner = "cheat"
        images, labels, tree, opening = forged.images, forged.labels, forged.tree, forged.opening

    monkeypatch.setattr(courts.Claim, "key", Chosen)
    monkeypatch.setattr(courts, "check_owner", lambda *_: world_check())
    assert heard(world.court, claim, world.innocents[0]) == POOL
    # Models that know nothing share no mistakes with anybody.
    monkeypatch.setattr(world.court, "pool", untrained())
    assert heard(world.court, claim, world.innocents[1]) == ACCEPTED
    monkeypatch.setattr(world.court, "pool", [])
    assert heard(world.court, claim, world.innocents[1]) == FEW


def untrained() -> list[Model]:
    """A null pool that is large enough, and costs nothing."""
    return [Model(fresh(CARD, seed), CARD) for seed in range(LEAST_MODELS)]


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


def test_a_world_is_taken_up_where_it_was_left(tmp_path):
    told: list[str] = []
    data, pool = datasets.load("fashion-mnist"), untrained()
    sizes = replace(SIZES, references=1, innocents=1)

    def stops(share: float, step: str) -> None:
        told.append(step)
        if step.startswith("model 2 of 3, epoch 2"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_world(CARD, data, sizes, pool=pool, folder=tmp_path, progress=stops)
    told.clear()
    again = make_world(
        CARD, data, sizes, pool=pool, folder=tmp_path,
        progress=lambda share, step: told.append(step),
    )  # fmt: skip
    assert [step for step in told if "loss" not in step and step.endswith("epoch 2 of 2")] == [
        "model 2 of 3, epoch 2 of 2", "model 3 of 3, epoch 2 of 2",
    ]  # fmt: skip
    assert not [step for step in told if step.startswith("model 1")]
    # A pool that the registry has is asked in the place of one of its own.
    assert again.court.pool == pool
    assert again.loud.statement.parameters["nullPool"]["models"] == LEAST_MODELS


def test_too_few_images_and_a_mark_that_does_not_take_are_told():
    data = datasets.load("fashion-mnist")
    images = len(data.train)
    with pytest.raises(AttackError, match=f"{images:,} training images") as refused:
        make_world(CARD, data, replace(SIZES, images=images))
    assert f"{2 * images:,} and 128" in refused.value.hint
    sizes = replace(SIZES, mark_epochs=1, references=1, innocents=1, pool=1)
    with pytest.raises(AttackError, match="no true claim to begin with"):
        make_world(CARD, data, sizes)


@pytest.fixture
def grinding(world: World, monkeypatch) -> World:
    """A fresh registry, secrets that come the same each time, and a suspect that is quickly asked.

    What is ground does not hang on the suspect: its labels are what is drawn.
    """
    monkeypatch.setattr(secrets, "token_bytes", Random(2).randbytes)

    class Quick:
        def labels(self, images):
            return images.reshape(len(images), -1).sum(1, dtype=np.int64) % 10

    sizes = replace(SIZES, secrets=300)
    return replace(world, court=Court(world.court.test), innocents=[Quick()], sizes=sizes)


def test_ground_secrets_would_be_believed_if_nobody_counted_them(grinding: World):
    """At the largest alpha: at the registered one so few secrets are too few to tell."""
    loose = grind_seeds.grind(grinding, 2, lambda *_: None)
    assert loose.variant == "300 secrets at α = 0.01"
    assert (loose.naive, loose.accepted, loose.stopped_by) == (4, 0, {P_VALUE: 300})
    expected = (loose.details["expected_at_most"], loose.details["expected_of_as_many_owners"])
    assert expected == (0.01, 3)


def test_without_the_count_of_keys_ground_secrets_are_believed(grinding: World, monkeypatch):
    """So the red team would tell if the correction for registrations were gone."""
    uncounted = property(lambda rule: len(rule.looks) * rule.run * (rule.run + 1))
    monkeypatch.setattr(TriggerRule, "tries", uncounted)
    assert grind_seeds.grind(grinding, 2, lambda *_: None).accepted > 0


def test_the_owner_who_grinds_on_is_counted_on(world: World):
    registered, loose = grind_seeds.forge(world, lambda *_: None)
    assert [one.tried for one in (registered, loose)] == [SIZES.secrets] * 2
    assert (registered.naive, registered.accepted, loose.accepted) == (0, 0, 0)
    last = world.court.commit(grind_seeds.OWNER, new_key(world.parameters))
    assert last.number > 2 * SIZES.secrets


def test_of_few_classes_ground_keys_run_out(world: World):
    """With two classes 32 triggers cannot show enough for the ten-thousandth key of an owner."""
    claim = replace(world.claim, commitment=world.court.commit("few", new_key(few_classes(world))))
    court = Court(world.court.test)
    court._commitments[grind_seeds.OWNER] = 10_000
    for one in grind_seeds.forge(replace(world, claim=claim, court=court), lambda *_: None):
        assert (one.accepted, one.stopped_by) == (0, {grind_seeds.TOO_MANY: SIZES.secrets})


def few_classes(world: World):
    return replace(world.parameters, classes=2)


def test_unknown_forgeries_are_refused():
    with pytest.raises(AttackError, match="no forgery"):
        run_forgeries(None, ["sorcery"])
