from datetime import timedelta

import pytest
from django.contrib.auth import authenticate
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.actors import AUDIT, MANAGE, READ, VERIFY, WRITE, Actor, ForbiddenError
from accounts.models import Membership, User
from accounts.selectors import member_list, membership_list, user_find
from accounts.services import (
    AccountError,
    member_add,
    member_remove,
    organisation_create,
    token_create,
    token_use,
    user_create,
)

PASSWORD = "correct horse battery"


def test_passwords_are_kept_as_argon2id(alice):
    assert alice.password.startswith("argon2$argon2id$")
    assert alice.check_password(PASSWORD)
    assert not alice.check_password(PASSWORD + " ")


@pytest.mark.parametrize("password", ["sh0rt", "password1234", "alice@example.org"])
def test_it_refuses_a_weak_password(db, password):
    with pytest.raises(AccountError) as refused:
        user_create(email="alice@example.org", name="Alice", password=password)
    assert password not in str(refused.value)
    assert not User.objects.exists()


@pytest.mark.parametrize("email", ["alice@EXAMPLE.org", "ALICE@example.org", "Alice@Example.Org"])
def test_an_address_is_one_person_in_any_case_of_letters(alice, email):
    assert authenticate(username=email, password=PASSWORD) == alice
    with pytest.raises(AccountError, match=r"has this address already|already exists"):
        user_create(email=email, name="Another", password=PASSWORD)


def test_the_database_itself_keeps_addresses_unique(alice):
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.create(email="ALICE@example.org", name="Another")


def test_a_closed_account_does_not_log_in(alice):
    alice.is_active = False
    alice.save()
    assert authenticate(username=alice.email, password=PASSWORD) is None


@pytest.mark.parametrize(
    ("role", "permissions"),
    [
        ("viewer", {READ}),
        ("editor", {READ, WRITE, VERIFY}),
        ("owner", {READ, WRITE, VERIFY, MANAGE, AUDIT}),
        ("auditor", {AUDIT}),
    ],
)
def test_each_role_has_its_permissions(alice_actor, charlie, role, permissions):
    actor = Actor.from_membership(member_add(actor=alice_actor, user=charlie, role=role))
    assert actor.permissions == permissions
    for permission in (READ, WRITE, VERIFY, MANAGE, AUDIT):
        assert actor.may(permission) == (permission in permissions)
        if permission not in permissions:
            with pytest.raises(ForbiddenError, match=permission):
                actor.require(permission)


def test_one_of_several_permissions_is_enough(bob_actor):
    bob_actor.require(AUDIT, READ)
    with pytest.raises(ForbiddenError, match="manage or audit"):
        bob_actor.require(MANAGE, AUDIT)


def test_adding_a_member_again_changes_the_role(alice_actor, bob):
    member_add(actor=alice_actor, user=bob, role="viewer")
    assert [row.role for row in member_list(actor=alice_actor)] == ["owner", "viewer"]


def test_only_owners_take_people_in(bob_actor, charlie, globex):
    with pytest.raises(ForbiddenError):
        member_add(actor=bob_actor, user=charlie, role="viewer")
    with pytest.raises(ForbiddenError):
        user_find(actor=bob_actor, email=charlie.email)
    assert [row.organisation for row in membership_list(user=charlie)] == [globex]


@pytest.mark.parametrize("role", ["god", "", "OWNER"])
def test_it_refuses_a_role_that_does_not_exist(alice_actor, bob, role):
    with pytest.raises(AccountError, match="no such role"):
        member_add(actor=alice_actor, user=bob, role=role)


@pytest.mark.parametrize("role", ["viewer", "editor", "auditor"])
def test_the_last_owner_stays_owner(alice_actor, alice, role):
    with pytest.raises(AccountError, match="at least one owner"):
        member_add(actor=alice_actor, user=alice, role=role)
    assert alice.memberships.get().role == Membership.Role.OWNER


def test_an_owner_steps_down_for_another(alice_actor, alice, bob):
    member_add(actor=alice_actor, user=bob, role="owner")
    member_add(actor=alice_actor, user=alice, role="viewer")
    assert [row.role for row in member_list(actor=alice_actor)] == ["viewer", "owner"]


def test_owners_elsewhere_do_not_count(alice_actor, alice, charlie, globex):
    charlies = Actor.from_membership(globex.memberships.get(user=charlie))
    member_add(actor=charlies, user=alice, role="owner")
    with pytest.raises(AccountError, match="at least one owner"):
        member_add(actor=alice_actor, user=alice, role="editor")


def test_organisations_of_one_name_have_different_slugs(alice, charlie):
    first = organisation_create(name="Acme", owner=alice)
    second = organisation_create(name="Acme", owner=charlie)
    nameless = organisation_create(name="機械", owner=charlie)
    assert len({first.slug, second.slug, nameless.slug}) == 3


def test_a_removed_member_is_out_and_so_are_their_tokens(alice_actor, bob, bob_actor):
    member_add(actor=alice_actor, user=bob, role=Membership.Role.OWNER)
    owner = Actor.from_membership(bob_actor.organisation.memberships.get(user=bob))
    _, text = token_create(
        actor=owner, user=bob, name="ci", scopes=["read"],
        expires_at=timezone.now() + timedelta(days=1),
    )  # fmt: skip
    assert token_use(text=text) is not None
    member_remove(actor=alice_actor, membership=bob.memberships.get())
    assert token_use(text=text) is None
    assert not bob.memberships.exists()


def test_the_last_owner_is_not_removed(alice_actor, alice):
    with pytest.raises(AccountError, match="at least one owner"):
        member_remove(actor=alice_actor, membership=alice.memberships.get())
    assert alice.memberships.exists()


def test_only_owners_remove_members(bob_actor, alice):
    with pytest.raises(ForbiddenError):
        member_remove(actor=bob_actor, membership=alice.memberships.get())
