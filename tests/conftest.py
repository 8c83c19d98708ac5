"""The fixed cast: alice owns acme, bob edits there, charlie is a stranger from globex."""

from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from django.contrib.auth.hashers import Argon2PasswordHasher
from django.db import connection

from accounts.actors import Actor
from accounts.models import Membership, Organisation, User
from accounts.services import member_add, organisation_create, user_create
from ledger.keys import ensure_signing_keys
from tests.chromium import chromium, playwright

__all__ = ["chromium", "playwright"]

# A busy machine is no failure.
hypothesis.settings.register_profile("no deadline", deadline=None)
hypothesis.settings.load_profile("no deadline")

PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def own_folders(settings, tmp_path: Path) -> Iterator[None]:
    """Every test keeps its files to itself."""
    settings.STORAGE = tmp_path / "storage"
    settings.SCRATCH = tmp_path / "scratch"
    yield


@pytest.fixture(autouse=True)
def cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Argon2id as ever, but with little memory: the real cost is a tenth of a second a person."""
    monkeypatch.setattr(Argon2PasswordHasher, "memory_cost", 64)
    monkeypatch.setattr(Argon2PasswordHasher, "time_cost", 1)


def _user(name: str) -> User:
    return user_create(email=f"{name}@example.org", name=name.title(), password=PASSWORD)


@pytest.fixture
def committed(transactional_db: None) -> Iterator[None]:
    """Rows that other connections see too. They are truncated afterwards, which the log refuses."""
    yield
    # The connection ends with the test, and this with it.
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")


@pytest.fixture
def alice(db) -> User:
    return _user("alice")


@pytest.fixture
def bob(db) -> User:
    return _user("bob")


@pytest.fixture
def charlie(db) -> User:
    return _user("charlie")


@pytest.fixture
def acme(alice: User, bob: User) -> Organisation:
    ensure_signing_keys()
    organisation = organisation_create(name="Acme", owner=alice)
    owner = Actor.from_membership(organisation.memberships.get(user=alice))
    member_add(actor=owner, user=bob, role=Membership.Role.EDITOR)
    return organisation


@pytest.fixture
def globex(charlie: User) -> Organisation:
    return organisation_create(name="Globex", owner=charlie)


def _actor(organisation: Organisation, user: User) -> Actor:
    return Actor.from_membership(organisation.memberships.get(user=user))


@pytest.fixture
def alice_actor(acme: Organisation, alice: User) -> Actor:
    return _actor(acme, alice)


@pytest.fixture
def bob_actor(acme: Organisation, bob: User) -> Actor:
    return _actor(acme, bob)


@pytest.fixture
def charlie_actor(globex: Organisation, charlie: User) -> Actor:
    return _actor(globex, charlie)
