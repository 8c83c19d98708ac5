import pytest

from accounts.actors import ForbiddenError
from registry.models import Alias
from registry.services import RegistryError, alias_delete, alias_set, version_create
from tests.factories import published_version


@pytest.fixture
def version(alice_actor):
    return published_version(alice_actor)


def test_editors_set_and_delete_open_aliases(bob_actor, version):
    alias = alias_set(actor=bob_actor, model=version.model, name="staging", version=version)
    assert not alias.protected
    alias_delete(actor=bob_actor, alias=alias)
    assert not Alias.objects.exists()


def test_a_protected_alias_is_the_owners(alice_actor, bob_actor, version):
    place = {"model": version.model, "name": "production", "version": version}
    alias = alias_set(actor=alice_actor, **place, protected=True)
    for attempt in (
        lambda: alias_set(actor=bob_actor, **place),
        lambda: alias_set(actor=bob_actor, **place, protected=False),
        lambda: alias_delete(actor=bob_actor, alias=alias),
    ):
        with pytest.raises(ForbiddenError, match="manage"):
            attempt()
    alias.refresh_from_db()
    assert (alias.protected, alias.moved_by) == (True, alice_actor.name)
    assert alias_set(actor=alice_actor, **place).protected, "moving it keeps its protection"
    assert not alias_set(actor=alice_actor, **place, protected=False).protected
    alias_delete(actor=bob_actor, alias=alias_set(actor=bob_actor, **place))


def test_editors_protect_nothing(bob_actor, version):
    for protected in (True, False):
        with pytest.raises(ForbiddenError):
            alias_set(
                actor=bob_actor, model=version.model, name="mine", version=version,
                protected=protected,
            )  # fmt: skip
    assert not Alias.objects.exists()


def test_an_alias_names_only_published_versions_of_its_own_model(alice_actor, version):
    draft = version_create(actor=alice_actor, model=version.model)
    foreign = published_version(alice_actor, name="wren")
    for wrong in (draft, foreign):
        with pytest.raises(RegistryError, match="published version of its own model"):
            alias_set(actor=alice_actor, model=version.model, name="latest", version=wrong)


@pytest.mark.parametrize("name", ["", "two words", "a/b", "x" * 51])
def test_it_refuses_an_alias_that_is_no_slug(alice_actor, version, name):
    with pytest.raises(RegistryError, match=r"^name: "):
        alias_set(actor=alice_actor, model=version.model, name=name, version=version)
