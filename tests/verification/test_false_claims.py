"""What an owner who cheats meets on the platform before a worker does anything."""

import uuid

import pytest
from django.db import DatabaseError, connection, transaction

from config.database import grant_runtime_role
from ledger.services import ledger_sequence
from protection.triggers import opened_trigger
from spellmark.evidence.trigger_leaves import LeavesError, check_opening
from spellmark.watermarks.trigger.trigger_key import image_digest
from tests import factories
from verification import services
from verification.services import VerificationError


@pytest.mark.parametrize("change", ["created_at = '2020-01-01'", "binding = ''", "digest = ''"])
def test_a_commitment_cannot_be_backdated(alice_actor, change):
    factories.finished_trigger(alice_actor)
    role = f"spellmark_{uuid.uuid4().hex}"
    grant_runtime_role(role)
    with connection.cursor() as cursor:
        cursor.execute(f"SET ROLE {role}")
        with pytest.raises(DatabaseError, match="permission denied"), transaction.atomic():
            cursor.execute(f"UPDATE registry_commitment SET {change}")
        cursor.execute("RESET ROLE")


def test_nobody_is_asked_before_the_registration_stands_in_the_log(alice_actor):
    trigger = factories.queued_trigger(alice_actor)
    suspect = factories.endpoint_suspect(alice_actor)
    with pytest.raises(VerificationError, match="not finished"):
        services.run_create(
            actor=alice_actor, suspect=suspect, protection=trigger, key=factories.TRIGGER_KEY
        )


def test_each_further_key_gets_a_smaller_share_of_alpha(alice_actor):
    shares = []
    for number in (1, 2, 3):
        key = factories.trigger_key(number=number)
        version = factories.published_version(alice_actor, name=f"robin-{number}")
        trigger = factories.finished_trigger(alice_actor, version=version, key=key)
        rule = services.rule_for(trigger)
        shares.append((rule.registration, rule.tries // len(rule.looks)))
    # n (n + 1) for the n-th key, times 1 × 2 for its first run.
    assert shares == [(1, 2 * 2), (2, 6 * 2), (3, 12 * 2)]


def test_a_key_that_was_taken_over_gives_other_triggers(alice_actor, charlie_actor):
    """Also when the thief registers the very same key file."""
    alices = factories.finished_trigger(alice_actor)
    ledger_sequence()
    version = factories.published_version(charlie_actor)
    charlies = factories.finished_trigger(charlie_actor, version=version)
    assert alices.commitment.digest == charlies.commitment.digest
    hers, his = (opened_trigger(row, factories.TRIGGER_KEY) for row in (alices, charlies))
    assert hers.tree.root == alices.settings["root"] != charlies.settings["root"]
    with pytest.raises(LeavesError):
        check_opening(
            hers.opening(0), leaf=0, size=96, root=charlies.settings["root"],
            image_sha256=image_digest(hers.image(0)),
        )  # fmt: skip
    assert not {image.tobytes() for image in hers.images} & {
        image.tobytes() for image in his.images
    }
