import json
from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.actors import ForbiddenError
from jobs.models import Job, SealedSecret
from jobs.services import job_fail
from ledger.models import Certificate
from ledger.selectors import certificate_statement
from protection import guard_options, words
from protection.errors import ProtectionError
from protection.guards import (
    GUARD_JOB,
    client_add,
    client_end,
    guard_configuration,
    guard_create,
    guard_finish,
    guard_rotate,
    public_configuration,
)
from protection.models import GuardClient, Protection
from protection.selectors import client_list, guard_list
from protection.services import attacks_create, card_of
from protection.unlocks import unlock_create
from registry.services import commitment_create
from spellmark.cli import main
from spellmark.secrets import KeyFile
from spellmark.watermarks.dynamic import DynamicMarkError, MarkKey, MarkParameters
from tests import factories

KEY, OTHER = factories.GUARD_KEY, factories.guard_key(8)


def commit(actor, version, key: KeyFile = KEY):
    return commitment_create(
        actor=actor,
        version=version,
        digest=key.commitment(),
        scheme=key.scheme,
        parameters=key.parameters,
    )


def create(actor, commitment, **changes) -> Protection:
    wanted = {"key": KEY, "dataset": "fashion-mnist"} | changes
    return guard_create(actor=actor, commitment=commitment, **wanted)


@pytest.fixture
def guard(alice_actor) -> Protection:
    return factories.finished_guard(alice_actor)


@pytest.fixture
def version(alice_actor):
    return factories.published_version(alice_actor)


def rotated(actor, guard, key: KeyFile = OTHER, **changes) -> Protection:
    commitment = commit(actor, guard.source, key)
    return guard_rotate(actor=actor, guard=guard, commitment=commitment, key=key, **changes)


def test_a_guard_waits_for_a_worker_and_its_key_is_sealed(bob_actor, version):
    guard = create(bob_actor, commit(bob_actor, version), images=500, decimals=4, top_k=3)
    assert (guard.kind, guard.source, guard.result) == ("dynamic", version, None)
    assert (guard.job.kind, guard.job.queue, guard.job.state) == (GUARD_JOB, "gpu", "queued")
    assert len(bytes.fromhex(guard.settings["referenceSeed"])) == 32
    assert guard.settings == {
        "referenceSeed": guard.settings["referenceSeed"],
        "images": 500, "decimals": 4, "topK": 3, "thresholds": None, "references": [],
    }  # fmt: skip
    assert (guard.valid_from, guard.protected_version) == (None, None)
    assert guard.registration_certificate_id is None
    rows = str([*Protection.objects.values(), *Job.objects.values()])
    assert KEY.secret.hex() not in rows
    assert json.loads(KEY.dumps())["secret"] not in rows
    assert KEY.secret not in bytes(SealedSecret.objects.get().ciphertext)


def test_a_finished_guard_protects_its_source_by_its_commitments_certificate(guard):
    assert guard.protected_version == guard.source
    certificate = Certificate.objects.get(id=guard.registration_certificate_id)
    assert guard.registration_certificate_id == guard.commitment.certificate_id
    assert KEY.commitment()[:12] in certificate.title
    assert guard.valid_from <= timezone.now()
    assert (guard.valid_until, guard.is_over, guard.result) == (None, False, None)
    assert guard.report_card == factories.GUARD_CARD
    assert not SealedSecret.objects.exists()


def test_a_lock_protects_the_version_that_it_gave(alice_actor):
    lock = factories.finished_protection(alice_actor)
    assert lock.protected_version == lock.result
    assert lock.registration_certificate_id == lock.result.certificate_id
    assert not lock.is_over


def test_another_key_or_scheme_is_refused(alice_actor, version):
    with pytest.raises(ProtectionError, match="does not open the registered commitment"):
        create(alice_actor, commit(alice_actor, version), key=OTHER)
    lock_key = factories.KEY
    with pytest.raises(ProtectionError, match="which is no guard"):
        create(alice_actor, commit(alice_actor, version, lock_key), key=lock_key)
    assert not Protection.objects.exists()


def test_parameters_have_to_fit_the_version(alice_actor, version):
    many = factories.guard_key(classes=100)
    with pytest.raises(ProtectionError, match="The key is for 100 classes; robin v1 has 10"):
        create(alice_actor, commit(alice_actor, version, many), key=many)
    odd = KeyFile(KEY.scheme, {**KEY.parameters, "cells": 3}, KEY.secret, KEY.nonce)
    with pytest.raises(DynamicMarkError, match="cells"):
        create(alice_actor, commit(alice_actor, version, odd), key=odd)


@pytest.mark.parametrize("changes", [{"images": 99}, {"decimals": 0}, {"top_k": 11}])
def test_settings_out_of_bounds_are_refused(alice_actor, version, changes):
    with pytest.raises(ProtectionError, match="A guard takes"):
        create(alice_actor, commit(alice_actor, version), **changes)


def test_a_key_guards_once_unless_its_job_came_to_nothing(alice_actor, version):
    commitment = commit(alice_actor, version)
    first = create(alice_actor, commitment)
    with pytest.raises(ProtectionError, match="a guard under this key already"):
        create(alice_actor, commitment)
    job_fail(job=factories.claimed(first.job), error="It broke.", hint="")
    assert create(alice_actor, commitment).id != first.id


def test_a_locked_version_is_not_guarded(alice_actor):
    locked = factories.finished_protection(alice_actor).result
    with pytest.raises(ProtectionError, match="is locked"):
        create(alice_actor, commit(alice_actor, locked))


def test_guards_are_their_organisations_alone(guard, alice_actor, charlie_actor):
    factories.finished_protection(alice_actor, name="wren")
    factories.guard_client(alice_actor, guard)
    assert list(guard_list(actor=alice_actor)) == [guard]
    assert not guard_list(actor=charlie_actor).exists()
    assert not client_list(actor=charlie_actor).exists()


def test_a_viewer_makes_nothing(alice_actor, guard):
    viewer = type(alice_actor)(alice_actor.organisation, "victor", frozenset({"read"}))
    client = factories.guard_client(alice_actor, guard)
    commitment = commit(alice_actor, guard.source, OTHER)
    for write in (
        lambda: create(viewer, guard.commitment),
        lambda: guard_rotate(actor=viewer, guard=guard, commitment=commitment, key=OTHER),
        lambda: client_add(actor=viewer, guard=guard, name="app", key=KEY),
        lambda: client_end(actor=viewer, client=client),
        lambda: guard_configuration(actor=viewer, guard=guard, key=KEY),
    ):
        with pytest.raises(ForbiddenError):
            write()


def test_a_successor_ends_the_old_guard_when_it_is_measured(alice_actor, guard):
    successor = rotated(alice_actor, guard)
    guard.refresh_from_db()
    assert (successor.replaces, guard.valid_until) == (guard, None)
    with pytest.raises(ProtectionError, match="has a successor already"):
        rotated(alice_actor, guard, factories.guard_key(9))
    factories.guard_done(successor)
    guard.refresh_from_db()
    assert guard.valid_until == successor.valid_from + timedelta(days=30)
    assert not guard.is_over
    assert list(guard_list(actor=alice_actor)) == [successor, guard]
    with pytest.raises(ProtectionError, match="has a successor already"):
        rotated(alice_actor, guard, factories.guard_key(10))


def test_clients_go_over_to_the_new_key(alice_actor, guard):
    shop = factories.guard_client(alice_actor, guard)
    client_end(actor=alice_actor, client=factories.guard_client(alice_actor, guard, name="app"))
    successor = rotated(alice_actor, guard)
    moved = successor.clients.get()
    binding = bytes.fromhex(successor.commitment.binding)
    drawn = bytes.fromhex(moved.binding)
    opened = MarkKey.open(OTHER, binding=binding, client="shop", client_binding=drawn)
    assert moved.name == "shop"
    assert moved.commitment == opened.commitment() != shop.commitment
    assert moved.binding != shop.binding


def test_a_client_stands_in_the_log_with_what_was_drawn_for_them(alice_actor, guard):
    shop = factories.guard_client(alice_actor, guard)
    certificate = Certificate.objects.get(id=shop.certificate_id)
    told = certificate_statement(certificate)
    assert (told.commitment, told.binding) == (shop.commitment, shop.binding)
    assert (told.parameters["client"], told.parameters["guard"]) == (
        "shop",
        guard.commitment.digest,
    )


def test_a_successor_that_fails_ends_nothing(alice_actor, guard):
    successor = rotated(alice_actor, guard, overlap_days=7)
    job_fail(job=factories.claimed(successor.job), error="It broke.", hint="")
    guard.refresh_from_db()
    assert guard.valid_until is None
    assert rotated(alice_actor, guard, factories.guard_key(9)).settings["overlapDays"] == 30


def test_a_rotation_keeps_what_is_not_given(alice_actor, version):
    guard = create(alice_actor, commit(alice_actor, version), decimals=3, top_k=5)
    factories.guard_done(guard)
    successor = rotated(alice_actor, guard)
    assert (successor.dataset, successor.settings["decimals"]) == ("fashion-mnist", 3)
    assert successor.settings["topK"] == 5


def test_a_rotation_needs_a_new_key_for_the_same_version_and_some_days(alice_actor, guard):
    with pytest.raises(ProtectionError, match="a guard under this key already"):
        guard_rotate(actor=alice_actor, guard=guard, commitment=guard.commitment, key=KEY)
    wren = commit(alice_actor, factories.published_version(alice_actor, name="wren"), OTHER)
    with pytest.raises(ProtectionError, match="for another version"):
        guard_rotate(actor=alice_actor, guard=guard, commitment=wren, key=OTHER)
    for days in (0, 4000):
        with pytest.raises(ProtectionError, match="overlap for 1 to 3,650 days"):
            rotated(alice_actor, guard, factories.guard_key(days % 255 + 20), overlap_days=days)


def test_a_guard_whose_time_has_ended_serves_no_more(alice_actor, guard):
    past = timezone.now() - timedelta(days=1)
    Protection.objects.filter(id=guard.id).update(
        valid_from=past - timedelta(days=9), valid_until=past
    )
    guard.refresh_from_db()
    assert guard.is_over
    # A copy of its answers can be told ever after.
    assert guard.protected_version == guard.source
    with pytest.raises(ProtectionError, match="time has ended"):
        guard_configuration(actor=alice_actor, guard=guard, key=KEY)
    with pytest.raises(ProtectionError, match="time has ended"):
        factories.guard_client(alice_actor, guard)


def test_an_unfinished_guard_serves_not_yet(alice_actor):
    guard = factories.queued_guard(alice_actor)
    with pytest.raises(ProtectionError, match="is not finished"):
        guard_configuration(actor=alice_actor, guard=guard, key=KEY)
    with pytest.raises(ProtectionError, match="is not finished"):
        factories.guard_client(alice_actor, guard)


def test_a_client_is_committed_to_and_the_key_is_not_kept(alice_actor, guard):
    client = factories.guard_client(alice_actor, guard)
    binding = bytes.fromhex(guard.commitment.binding)
    shared = MarkKey.open(KEY, binding=binding)
    drawn = bytes.fromhex(client.binding)
    opened = MarkKey.open(KEY, binding=binding, client="shop", client_binding=drawn)
    assert client.commitment == opened.commitment()
    assert client.commitment != shared.commitment()
    rows = str([*GuardClient.objects.values(), *Protection.objects.values()])
    assert KEY.secret.hex() not in rows
    assert json.loads(KEY.dumps())["secret"] not in rows
    assert not SealedSecret.objects.exists()


@pytest.mark.parametrize("name", ["", "a b", "-shop", "x" * 101, "shop\n", "<b>"])
def test_a_client_needs_a_plain_name(alice_actor, guard, name):
    with pytest.raises(ProtectionError, match="name"):
        factories.guard_client(alice_actor, guard, name=name)


def test_a_clients_name_is_given_once_also_when_it_ended(alice_actor, guard):
    client = factories.guard_client(alice_actor, guard)
    client_end(actor=alice_actor, client=client)
    first = client.ended_at
    assert first is not None
    client_end(actor=alice_actor, client=client)
    assert client.ended_at == first
    with pytest.raises(ProtectionError, match="has, or had, a client of that name"):
        factories.guard_client(alice_actor, guard)
    with pytest.raises(ProtectionError, match="does not open"):
        factories.guard_client(alice_actor, guard, name="app", key=OTHER)
    assert client_list(actor=alice_actor).get() == client


def test_a_configuration_is_all_that_a_server_needs(alice_actor, guard):
    factories.guard_client(alice_actor, guard, name="app")
    client_end(actor=alice_actor, client=factories.guard_client(alice_actor, guard))
    told = json.loads(guard_configuration(actor=alice_actor, guard=guard, key=KEY).dumps())
    assert told == {**public_configuration(guard), "key": told["key"]}
    assert told == {
        "format": "spellmark-guard/v1",
        "key": json.loads(KEY.dumps()),
        "binding": guard.commitment.binding,
        "thresholds": None,
        "input_shape": None,
        "decimals": None,
        "top_k": None,
        "clients": {"app": guard.clients.get(name="app").binding},
        "valid_from": guard.valid_from.date().isoformat(),
        "valid_until": None,
    }
    with pytest.raises(ProtectionError, match="does not open"):
        guard_configuration(actor=alice_actor, guard=guard, key=OTHER)


def test_what_is_for_locks_is_not_for_guards(alice_actor, guard):
    with pytest.raises(ProtectionError, match="locks nothing"):
        unlock_create(actor=alice_actor, protection=guard, key=KEY, image=None)


def test_a_theft_is_rehearsed_under_the_guards_own_key(alice_actor, guard):
    rehearsal = attacks_create(
        actor=alice_actor, protection=guard, key=KEY, dataset="fashion-mnist",
        attacks=["labels-only", "soft-answers"],
    )  # fmt: skip
    assert rehearsal.job.kind == "guard-thefts"
    assert rehearsal.attacks == ["soft-answers", "labels-only"]
    with pytest.raises(ProtectionError, match="no such attack"):
        attacks_create(
            actor=alice_actor, protection=guard, key=KEY, dataset="fashion-mnist",
            attacks=["bypass"],
        )  # fmt: skip


def test_the_database_keeps_guards_and_locks_apart(alice_actor, guard):
    lock = factories.finished_protection(alice_actor, name="wren")
    now = timezone.now()
    for row, broken in (
        (guard, {"result": lock.result}),
        (lock, {"valid_from": now}),
        (lock, {"replaces": guard}),
        (guard, {"valid_until": guard.valid_from}),
        (guard, {"valid_from": None, "valid_until": now}),
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            Protection.objects.filter(id=row.id).update(**broken)


def test_thresholds_are_kept(alice_actor, version):
    key = factories.guard_key(cells=2)
    guard = create(alice_actor, commit(alice_actor, version, key), key=key)
    cuts = [[0.5]] * 10
    guard_finish(
        guard=guard,
        job=factories.claimed(guard.job),
        thresholds=cuts,
        references=["ab" * 32],
        report_card={"l1": 0.1},
    )
    file = guard_configuration(actor=alice_actor, guard=guard, key=key)
    assert file.thresholds.tolist() == cuts
    card = card_of(version)
    assert file.input_shape == (card["channels"], card["height"], card["width"])
    assert file.guard().cells == 2


def test_a_guard_in_words():
    parameters = MarkParameters(classes=10)
    assert guard_options.cost(parameters).replace("\xa0", " ") == (
        "Moves up to 5 % of the probability mass; the confidence of a sure answer falls from 99 % "
        "to 94 %; labels never change."
    )
    assert words.in_short(parameters) == "strength 50 ‰, 90 key bits, labels unchanged"
    close = MarkParameters(classes=2, cells=32, label_margin=75, strength=200)
    assert "close answers may get another label" in guard_options.cost(close)
    assert "64 key bits and 32 in labels" in words.in_short(close)
    told = {term: value for term, value, _ in words.describe(close, {})}
    assert told["Cells"] == "32"
    assert "closer than 0.75" in told["Labels"]


def test_the_command_line_makes_the_same_key(tmp_path, capsys):
    wanted = MarkParameters(classes=10, strength=80, cells=4, label_margin=100)
    _, command, name, *arguments = guard_options.keygen_command(wanted).split()
    assert main([command, str(tmp_path / name), *arguments]) == 0
    assert KeyFile.load(tmp_path / name).parameters == wanted.as_dict()


def test_the_options_of_a_form_are_read():
    best = MarkParameters(classes=10)
    assert guard_options.read({}, best) == best
    read = guard_options.read({"strength": "80", "cells": "4", "label_margin": "100"}, best)
    assert read == MarkParameters(classes=10, strength=80, cells=4, label_margin=100)
    for wrong in ({"strength": "0"}, {"strength": "x"}, {"cells": "3"}):
        with pytest.raises(DynamicMarkError):
            guard_options.read(wrong, best)
