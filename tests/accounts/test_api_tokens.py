from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from accounts.actors import Actor, ForbiddenError
from accounts.models import ApiToken
from accounts.selectors import token_list
from accounts.services import AccountError, token_create, token_revoke, token_use


def _token(actor, user, **choices) -> tuple[ApiToken, str]:
    expires_at = timezone.now() + timedelta(days=1)
    asked = {"name": "pipeline", "scopes": ["read"], "expires_at": expires_at} | choices
    return token_create(actor=actor, user=user, **asked)


def test_a_token_acts_for_its_organisation_with_its_scopes(alice_actor, alice, acme):
    made, text = _token(alice_actor, alice, scopes=["verify", "read", "read"])
    token = token_use(text=text)
    assert token == made
    actor = Actor.from_token(token)
    assert (actor.organisation, actor.permissions) == (acme, {"read", "verify"})
    assert text.startswith(f"smk_{made.public_id}_")


def test_the_use_of_a_token_is_noted_once_a_minute(alice_actor, alice):
    made, text = _token(alice_actor, alice)
    token_use(text=text)
    made.refresh_from_db()
    first = made.last_used_at
    assert timezone.now() - first < timedelta(seconds=10)
    token_use(text=text)
    made.refresh_from_db()
    assert made.last_used_at == first
    ApiToken.objects.update(last_used_at=first - timedelta(minutes=2))
    token_use(text=text)
    made.refresh_from_db()
    assert made.last_used_at >= first


def test_an_expired_token_opens_nothing(alice_actor, alice):
    made, text = _token(alice_actor, alice)
    ApiToken.objects.update(expires_at=timezone.now())
    assert token_use(text=text) is None
    made.refresh_from_db()
    assert made.last_used_at is None


def test_a_revoked_token_opens_nothing(alice_actor, alice):
    made, text = _token(alice_actor, alice)
    token_revoke(actor=alice_actor, token=made)
    assert token_use(text=text) is None


def test_strangers_revoke_nothing(alice_actor, alice, charlie_actor, bob_actor):
    made, text = _token(alice_actor, alice)
    token_revoke(actor=charlie_actor, token=made)
    with pytest.raises(ForbiddenError):
        token_revoke(actor=bob_actor, token=made)
    assert token_use(text=text) == made
    assert not token_list(actor=charlie_actor)


def test_it_refuses_what_is_not_the_token(alice_actor, alice):
    made, text = _token(alice_actor, alice)
    _, other = _token(alice_actor, alice)
    secret = text.rpartition("_")[2]
    for wrong in (
        "",
        "smk_",
        f"smk_{made.public_id}_",
        text[:-1],
        text + "A",
        text[:-1] + ("A" if text[-1] != "A" else "B"),
        f"smk_{made.public_id}_{other.partition('_')[2].partition('_')[2]}",
        text.removeprefix("smk_"),
        f"smk_{made.public_id.upper()}_{secret}",
        f"smk_{made.public_id}\x00_{secret}",
        f"smk_{made.digest}",
        text + "\n",
    ):
        assert token_use(text=wrong) is None, wrong
    assert token_use(text=text) == made


def test_a_token_of_the_old_pepper_works_until_the_pepper_is_retired(alice_actor, alice, settings):
    settings.TOKEN_PEPPERS = {1: "old pepper"}
    old, old_text = _token(alice_actor, alice)
    settings.TOKEN_PEPPERS = {1: "old pepper", 2: "new pepper"}
    new, new_text = _token(alice_actor, alice)
    assert (old.pepper_id, new.pepper_id) == (1, 2)
    assert (token_use(text=old_text), token_use(text=new_text)) == (old, new)
    settings.TOKEN_PEPPERS = {2: "new pepper"}
    assert (token_use(text=old_text), token_use(text=new_text)) == (None, new)
    settings.TOKEN_PEPPERS = {1: "a stolen table is no help", 2: "another"}
    assert (token_use(text=old_text), token_use(text=new_text)) == (None, None)


def test_the_text_of_a_token_stands_in_no_table(alice_actor, alice):
    _, text = _token(alice_actor, alice)
    token_use(text=text)
    secret = text.removeprefix("smk_").partition("_")[2]
    rows = "\n".join(_all_rows())
    assert alice.email in rows
    assert text not in rows
    assert secret not in rows


def _all_rows() -> list[str]:
    """Every row of every table, as text."""
    with connection.cursor() as cursor:
        found = []
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT t::text FROM "{table}" t')
            found += [row for (row,) in cursor.fetchall()]
        return found


@pytest.mark.parametrize("scopes", [[], ["manage"], ["audit"], ["read", "everything"]])
def test_it_refuses_scopes_that_a_token_cannot_have(alice_actor, alice, scopes):
    with pytest.raises(AccountError, match="at least one scope"):
        _token(alice_actor, alice, scopes=scopes)


@pytest.mark.parametrize("days", [-1, 0, 367, 10_000])
def test_it_refuses_a_token_that_never_works_or_never_ends(alice_actor, alice, days):
    with pytest.raises(AccountError, match="a year from now"):
        _token(alice_actor, alice, expires_at=timezone.now() + timedelta(days=days))


def test_only_owners_make_and_see_tokens(bob_actor, bob):
    with pytest.raises(ForbiddenError):
        _token(bob_actor, bob)
    with pytest.raises(ForbiddenError):
        token_list(actor=bob_actor)
    assert not ApiToken.objects.exists()
