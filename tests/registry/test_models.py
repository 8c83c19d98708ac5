import pytest

from accounts.actors import ForbiddenError
from registry.models import Model
from registry.selectors import model_list, tag_list
from registry.services import RegistryError, model_create, model_update, version_create


def _names(rows) -> list[str]:
    return [row.name for row in rows]


def test_a_model_has_a_name_tags_and_a_maker(alice_actor, acme):
    model = model_create(
        actor=alice_actor, name="robin", description="A bird.", tags=[" Vision ", "vision", "", "b"]
    )
    model.refresh_from_db()
    assert (model.organisation, model.created_by) == (acme, "alice@example.org")
    assert model.tags == ["b", "vision"]


@pytest.mark.parametrize("name", ["", "two words", "a/b", "../up", "x" * 101, "ünï", "a\n"])
def test_it_refuses_a_name_that_is_no_slug(alice_actor, name):
    with pytest.raises(RegistryError, match=r"^name: "):
        model_create(actor=alice_actor, name=name)


def test_a_name_is_taken_once_in_an_organisation(alice_actor, charlie_actor):
    model_create(actor=alice_actor, name="robin")
    with pytest.raises(RegistryError, match="already exists"):
        model_create(actor=alice_actor, name="robin")
    model_create(actor=charlie_actor, name="robin")
    assert Model.objects.count() == 2


def test_only_the_description_and_tags_change(alice_actor):
    model = model_create(actor=alice_actor, name="robin", description="old", tags=["old"])
    model_update(actor=alice_actor, model=model, description="new")
    model_update(actor=alice_actor, model=model, tags=["new"])
    model.refresh_from_db()
    assert (model.name, model.description, model.tags) == ("robin", "new", ["new"])
    with pytest.raises(RegistryError, match="tags"):
        model_update(actor=alice_actor, model=model, tags=["x" * 51])


def test_models_are_found_by_name_and_tag_in_any_case(alice_actor):
    model_create(actor=alice_actor, name="robin", tags=["Vision", "birds"])
    model_create(actor=alice_actor, name="robot", tags=["vision"])
    model_create(actor=alice_actor, name="wren", tags=["birds"])
    assert _names(model_list(actor=alice_actor, search="RO")) == ["robin", "robot"]
    assert _names(model_list(actor=alice_actor, tag="Birds")) == ["robin", "wren"]
    assert _names(model_list(actor=alice_actor, search="ro", tag="birds")) == ["robin"]
    assert _names(model_list(actor=alice_actor, tag="bird")) == []
    assert _names(model_list(actor=alice_actor, search="%")) == []
    assert tag_list(actor=alice_actor) == ["birds", "vision"]


def test_the_list_counts_versions(alice_actor):
    model = model_create(actor=alice_actor, name="robin")
    model_create(actor=alice_actor, name="wren")
    newest = [version_create(actor=alice_actor, model=model) for _ in range(2)][-1]
    robin, wren = model_list(actor=alice_actor)
    assert (robin.version_count, robin.newest) == (2, newest.created_at)
    assert (wren.version_count, wren.newest) == (0, None)


def test_strangers_see_no_models_and_no_tags(alice_actor, charlie_actor):
    model_create(actor=alice_actor, name="robin", tags=["birds"])
    assert _names(model_list(actor=charlie_actor)) == []
    assert tag_list(actor=charlie_actor) == []


def test_writing_needs_the_permission_to_write(acme, bob_actor):
    reader = type(bob_actor)(acme, "reader", frozenset({"read"}))
    model = model_create(actor=bob_actor, name="robin")
    for write in (
        lambda: model_create(actor=reader, name="wren"),
        lambda: model_update(actor=reader, model=model, description="mine"),
        lambda: version_create(actor=reader, model=model),
    ):
        with pytest.raises(ForbiddenError, match="permission to write"):
            write()
    writer = type(bob_actor)(acme, "writer", frozenset({"write"}))
    with pytest.raises(ForbiddenError, match="permission to read"):
        model_list(actor=writer)
