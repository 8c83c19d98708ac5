"""False claims as they are started and kept: for a version, without a key."""

import numpy as np
import pytest
from django.db import IntegrityError
from safetensors.numpy import save

from accounts.actors import ForbiddenError
from jobs.models import Job, SealedSecret
from protection.false_claims import BUDGET_WORDS, budgets, false_claims_create
from protection.models import Rehearsal
from protection.selectors import rehearsal_list
from protection.services import ProtectionError
from registry.services import file_upload, model_create, version_create, version_publish
from spellmark.attacks.forge_claim.catalogue import BUDGETS, FORGERIES
from tests import factories


@pytest.fixture
def version(alice_actor):
    return factories.published_version(alice_actor)


def _claims(actor, version, **changes) -> Rehearsal:
    return false_claims_create(
        actor=actor, version=version, **({"dataset": "fashion-mnist"} | changes)
    )


def test_they_start_as_a_job_without_a_key_at_full_size(alice_actor, acme, version):
    row = _claims(alice_actor, version)
    assert (row.job.kind, row.job.queue, row.job.state) == ("false-claims", "gpu", "queued")
    assert row.job.organisation_id == acme.id
    assert row.job.payload == {"rehearsal": str(row.id)}
    assert (row.budget, row.attacks, row.results) == ("full", list(FORGERIES), None)
    assert (row.version, row.protection) == (version, None)
    assert not SealedSecret.objects.exists()
    assert str(row) == f"false claims with models like {version}"


def test_every_size_is_explained():
    assert BUDGET_WORDS.keys() == BUDGETS.keys()
    assert "47 models and 10,000 ground secrets" in dict(budgets())["full"]


def test_what_cannot_be_tried_is_told(alice_actor, version):
    with pytest.raises(ProtectionError, match="no size") as refused:
        _claims(alice_actor, version, budget="endless")
    assert "full" in refused.value.hint
    model = model_create(actor=alice_actor, name="wren")
    draft = version_create(actor=alice_actor, model=model)
    with pytest.raises(ProtectionError, match="draft"):
        _claims(alice_actor, draft)
    bare = [save({"w": np.zeros(1, np.float32)})]
    file_upload(actor=alice_actor, version=draft, name="model.safetensors", chunks=bare)
    with pytest.raises(ProtectionError, match="no model card"):
        _claims(alice_actor, version_publish(actor=alice_actor, version=draft))
    assert not Job.objects.exists()


def test_it_needs_the_permission_to_write(alice_actor, acme, version):
    with pytest.raises(ForbiddenError):
        _claims(type(alice_actor)(acme, "verifier", frozenset({"read", "verify"})), version)


def test_they_stand_among_the_rehearsals_and_strangers_see_none(
    alice_actor, charlie_actor, version
):
    row = _claims(alice_actor, version)
    assert list(rehearsal_list(actor=alice_actor)) == [row]
    assert not rehearsal_list(actor=charlie_actor)


def test_a_rehearsal_is_for_a_protection_or_a_version(alice_actor, version):
    row = _claims(alice_actor, version)
    with pytest.raises(IntegrityError, match="a_rehearsal_is_for"):
        Rehearsal.objects.filter(id=row.id).update(version=None)
