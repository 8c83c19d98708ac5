import re

from django.urls import reverse

from accounts.models import ApiToken, Membership
from accounts.services import token_use


def text(response):
    return response.content.decode()


def role_of(user, organisation):
    return Membership.objects.filter(user=user, organisation=organisation).values_list(
        "role", flat=True
    )


def test_an_owner_adds_a_person_by_address(as_alice, acme, charlie):
    sent = {"email": "Charlie@Example.org", "role": "auditor"}
    assert as_alice.post(reverse("web:members"), sent).status_code == 302
    assert list(role_of(charlie, acme)) == ["auditor"]


def test_an_address_without_account_is_told(as_alice):
    sent = {"email": "nobody@example.org", "role": "viewer"}
    assert "Nobody has an account" in text(as_alice.post(reverse("web:members"), sent))


def test_an_owner_changes_a_role(as_alice, acme, bob):
    as_alice.post(reverse("web:members"), {"email": bob.email, "role": "viewer"})
    assert list(role_of(bob, acme)) == ["viewer"]


def test_an_owner_keeps_their_own_role(as_alice, acme, alice):
    sent = {"email": alice.email, "role": "viewer"}
    assert "your own role" in text(as_alice.post(reverse("web:members"), sent))
    assert list(role_of(alice, acme)) == ["owner"]


def test_an_owner_removes_a_member(as_alice, acme, bob):
    membership = acme.memberships.get(user=bob)
    as_alice.post(reverse("web:member-remove", args=[membership.id]))
    assert not role_of(bob, acme).exists()


def test_a_token_is_shown_once_and_works(as_alice, acme):
    sent = {"name": "pipeline", "scopes": ["read", "write"], "expires_at": "30"}
    page = text(as_alice.post(reverse("web:tokens"), sent))
    secret = re.search(r"smk_\w{16}_[\w-]+", page).group()
    token = token_use(text=secret)
    assert (token.name, token.scopes, token.organisation) == ("pipeline", ["read", "write"], acme)
    assert secret not in text(as_alice.get(reverse("web:tokens")))


def test_a_token_needs_a_scope(as_alice):
    sent = {"name": "pipeline", "expires_at": "30"}
    assert "required" in text(as_alice.post(reverse("web:tokens"), sent))
    assert not ApiToken.objects.exists()


def test_a_token_is_revoked(as_alice, world):
    as_alice.post(reverse("web:token-revoke", args=[world.token.id]))
    world.token.refresh_from_db()
    assert world.token.revoked_at is not None
    assert "revoked" in text(as_alice.get(reverse("web:tokens")))
