from dataclasses import replace

import pytest

from accounts.actors import ForbiddenError
from jobs.models import Job, SealedSecret
from jobs.sealing import unseal
from jobs.services import LeaseLostError
from protection.attacks import ATTACKS
from protection.models import Protection, Rehearsal
from protection.selectors import rehearsal_list
from protection.services import (
    ProtectionError,
    attacks_create,
    attacks_finish,
    key_lock_create,
)
from registry.services import commitment_create
from spellmark.secrets import KeyFile
from tests.factories import (
    GUARD_KEY,
    KEY,
    claimed,
    finished_guard,
    finished_protection,
    published_version,
)

RESULT = {
    "name": "random-keys",
    "accuracy": 0.31,
    "labels_used": 128,
    "evaluations": 500,
    "seconds": 3.5,
    "details": {},
}


@pytest.fixture
def protection(alice_actor) -> Protection:
    made = finished_protection(alice_actor)
    made.refresh_from_db()
    return made


def _attack(actor, protection, **changes) -> Rehearsal:
    wanted = {"key": KEY, "dataset": "fashion-mnist", "attacks": ["fine-tune", "random-keys"]}
    return attacks_create(actor=actor, protection=protection, **(wanted | changes))


def test_attacks_start_as_a_job_with_the_key_sealed(alice_actor, acme, protection):
    rehearsal = _attack(alice_actor, protection, budget="full")
    job = rehearsal.job
    assert (job.kind, job.queue, job.state) == ("key-lock-attacks", "gpu", "queued")
    assert job.organisation_id == acme.id
    assert job.payload == {"rehearsal": str(rehearsal.id)}
    assert KeyFile.loads(unseal(job)["key"]) == KEY
    # In the order of the catalogue, so that two rehearsals read alike.
    assert rehearsal.attacks == ["random-keys", "fine-tune"]
    assert (rehearsal.budget, rehearsal.results) == ("full", None)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"key": replace(KEY, secret=bytes(32))}, "does not open"),
        ({"attacks": []}, "no such attack"),
        ({"attacks": ["ask-nicely"]}, "no such attack"),
        ({"budget": "endless"}, "no such attack or budget"),
    ],
)
def test_what_cannot_be_attacked_is_told(alice_actor, protection, changes, said):
    before = Job.objects.count()
    with pytest.raises(ProtectionError, match=said) as refused:
        _attack(alice_actor, protection, **changes)
    assert refused.value.hint
    assert Job.objects.count() == before


def test_only_thieves_of_guarded_answers_ask_about_a_second_data_set(alice_actor, protection):
    with pytest.raises(ProtectionError, match="second data set"):
        _attack(alice_actor, protection, other_dataset="mnist")
    rehearsal = attacks_create(
        actor=alice_actor,
        protection=finished_guard(
            alice_actor, version=published_version(alice_actor, name="finch")
        ),
        key=GUARD_KEY,
        dataset="fashion-mnist",
        other_dataset="mnist",
        attacks=["other-images"],
    )
    assert (rehearsal.dataset, rehearsal.other_dataset) == ("fashion-mnist", "mnist")


def test_an_unfinished_lock_is_not_attacked(alice_actor):
    commitment = commitment_create(
        actor=alice_actor,
        version=published_version(alice_actor),
        digest=KEY.commitment(),
        scheme=KEY.scheme,
        parameters=KEY.parameters,
    )
    protection = key_lock_create(
        actor=alice_actor, commitment=commitment, key=KEY, dataset="fashion-mnist"
    )
    with pytest.raises(ProtectionError, match="not finished"):
        _attack(alice_actor, protection)


def test_attacking_needs_the_permission_to_write(alice_actor, acme, protection):
    verifier = type(alice_actor)(acme, "verifier", frozenset({"read", "verify"}))
    with pytest.raises(ForbiddenError):
        _attack(verifier, protection)


def test_all_rehearsals_are_kept_and_strangers_see_none(alice_actor, charlie_actor, protection):
    first, second = (_attack(alice_actor, protection) for _ in range(2))
    attacks_finish(rehearsal=first, job=claimed(first.job), results=[RESULT])
    assert list(rehearsal_list(actor=alice_actor)) == [second, first]
    first.refresh_from_db()
    assert first.results == [RESULT]
    assert not SealedSecret.objects.filter(job=first.job).exists()
    assert not rehearsal_list(actor=charlie_actor)


def test_a_worker_that_lost_its_lease_keeps_nothing(alice_actor, protection):
    rehearsal = _attack(alice_actor, protection)
    slow = claimed(rehearsal.job)
    Job.objects.update(lease="00000000-0000-4000-8000-000000000000")
    with pytest.raises(LeaseLostError):
        attacks_finish(rehearsal=rehearsal, job=slow, results=[RESULT])
    rehearsal.refresh_from_db()
    assert rehearsal.results is None


@pytest.mark.parametrize("kind", ["key-lock", "prompt-lock"])
def test_left_out_all_attacks_on_this_kind_of_lock_are_meant(alice_actor, protection, kind):
    Protection.objects.update(kind=kind)
    protection.refresh_from_db()
    rehearsal = _attack(alice_actor, protection, attacks=None)
    assert rehearsal.attacks == list(ATTACKS[kind])
    assert rehearsal.job.kind == f"{kind}-attacks"
    others = ATTACKS["prompt-lock" if kind == "key-lock" else "key-lock"].keys()
    with pytest.raises(ProtectionError, match="no such attack"):
        _attack(alice_actor, protection, attacks=sorted(others - ATTACKS[kind].keys()))


def test_pages_and_suites_name_the_same_attacks_and_budgets():
    """Pages have words for each of them."""
    from protection.attacks import BUDGET_WORDS
    from spellmark.attacks.key_lock import suite as key_lock
    from spellmark.attacks.prompt_lock import suite as prompt_lock

    for suite in (key_lock, prompt_lock):
        assert suite.BUDGETS.keys() == BUDGET_WORDS.keys()
