from hashlib import sha256

import pytest
from django.db import DatabaseError, IntegrityError, transaction

from ledger.models import Certificate
from ledger.selectors import certificate_statement
from ledger.services import ledger_sequence
from registry.models import File, Version
from registry.selectors import version_lineage, version_list
from registry.services import (
    RegistryError,
    alias_set,
    file_upload,
    model_create,
    version_create,
    version_publish,
)
from spellmark.certificates.statements import Registration
from tests.factories import model_file, published_version

# SHA-256 of the two digests, joined in the order of the names: xxd -r -p | sha256sum.
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
ROOT_OF_BOTH = "bddbdf7e9df02f902ee5dd61b2b513d7566a2112ff97db7dc3b6d184a43ef0e3"


@pytest.fixture
def model(alice_actor):
    return model_create(actor=alice_actor, name="robin")


def _draft(actor, model, **choices) -> Version:
    version = version_create(actor=actor, model=model, **choices)
    file_upload(actor=actor, version=version, name="model.safetensors", chunks=[model_file()])
    return version


def test_versions_are_numbered_from_one(alice_actor, model):
    other = model_create(actor=alice_actor, name="wren")
    assert [version_create(actor=alice_actor, model=model).number for _ in range(3)] == [1, 2, 3]
    assert version_create(actor=alice_actor, model=other).number == 1


def test_no_number_is_given_twice(alice_actor, model):
    version_create(actor=alice_actor, model=model)
    with pytest.raises(IntegrityError, match="one_version_a_number"), transaction.atomic():
        Version.objects.create(model=model, number=1, created_by="nobody")


def test_publishing_freezes_a_draft_and_registers_it(alice_actor, model):
    version = version_publish(actor=alice_actor, version=_draft(alice_actor, model))
    file = version.files.get()
    assert version.state == "published"
    assert version.root_digest == sha256(bytes.fromhex(file.sha256)).hexdigest()
    assert version.card["architecture"] == "small-cnn"
    certificate = Certificate.objects.get(id=version.certificate_id)
    statement = certificate_statement(certificate)
    assert isinstance(statement, Registration)
    assert (statement.model_digest, statement.model_name, statement.version) == (
        version.root_digest, "robin", 1,
    )  # fmt: skip
    assert (statement.commitment, statement.binding) == (None, None)
    assert ledger_sequence() == 1


def test_the_root_digest_is_the_known_one(alice_actor, model):
    version = version_create(actor=alice_actor, model=model)
    for name, digest in (("b.onnx", ABC), ("a.onnx", EMPTY)):
        File.objects.create(version=version, name=name, sha256=digest, size=1, format="onnx")
    assert version_publish(actor=alice_actor, version=version).root_digest == ROOT_OF_BOTH


def test_the_card_is_that_of_the_first_file_that_has_one(alice_actor, model):
    version = version_create(actor=alice_actor, model=model)
    plain = {"version": version, "sha256": ABC, "size": 1, "format": "onnx"}
    File.objects.create(name="a.onnx", **plain)
    assert version_publish(actor=alice_actor, version=version).card is None


def test_a_version_without_files_is_not_published(alice_actor, model):
    version = version_create(actor=alice_actor, model=model)
    with pytest.raises(RegistryError, match="without files"):
        version_publish(actor=alice_actor, version=version)
    version.refresh_from_db()
    assert (version.state, Certificate.objects.count()) == ("draft", 0)


def test_a_published_version_takes_no_files_and_is_not_published_again(alice_actor):
    version = published_version(alice_actor)
    with pytest.raises(RegistryError, match="never changes"):
        version_publish(actor=alice_actor, version=version)
    stale = Version.objects.get(id=version.id)
    stale.state = "draft"  # what somebody read before it was published
    for seen in (version, stale):
        with pytest.raises(RegistryError, match="never changes"):
            file_upload(actor=alice_actor, version=seen, name="new.onnx", chunks=[model_file()])
    assert version.files.count() == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda row: Version.objects.filter(id=row.id).update(notes="rewritten"),
        lambda row: Version.objects.filter(id=row.id).update(
            state="draft", root_digest="", published_at=None
        ),
        lambda row: Version.objects.filter(id=row.id).update(root_digest="0" * 64),
        lambda row: Version.objects.filter(id=row.id)._raw_delete("default"),
        lambda row: row.files.update(sha256="0" * 64),
        lambda row: row.files.update(name="other.safetensors"),
        lambda row: row.files.all().delete(),
        lambda row: File.objects.create(version=row, name="b", sha256=ABC, size=1, format="onnx"),
    ],
)
def test_the_database_refuses_every_change_to_a_published_version(alice_actor, change):
    version = published_version(alice_actor)
    before = list(Version.objects.values()), list(File.objects.values())
    with pytest.raises(DatabaseError, match="never change"), transaction.atomic():
        change(version)
    assert (list(Version.objects.values()), list(File.objects.values())) == before


def test_no_file_moves_between_a_published_version_and_a_draft(alice_actor):
    published = published_version(alice_actor)
    draft = _draft(alice_actor, published.model)
    draft.files.update(name="second.safetensors")
    for source, target in ((published, draft), (draft, published)):
        with pytest.raises(DatabaseError, match="never change"), transaction.atomic():
            source.files.update(version=target)


def test_a_draft_still_changes(alice_actor, model):
    draft = _draft(alice_actor, model)
    Version.objects.filter(id=draft.id).update(notes="later")
    assert draft.files.all().delete()[0] == 1
    assert Version.objects.filter(id=draft.id).delete()[0] == 1


def test_a_published_version_needs_a_digest(alice_actor, model):
    draft = _draft(alice_actor, model)
    with pytest.raises(IntegrityError, match="has_a_digest"), transaction.atomic():
        Version.objects.filter(id=draft.id).update(state="published")


def test_the_lineage_leads_from_the_first_ancestor_to_the_version(alice_actor, model):
    first = version_create(actor=alice_actor, model=model)
    second = version_create(actor=alice_actor, model=model, parent=first, derivation="key-lock")
    other = model_create(actor=alice_actor, name="wren")
    third = version_create(actor=alice_actor, model=other, parent=second, derivation="pruned")
    assert version_lineage(third) == [first, second, third]
    assert version_lineage(first) == [first]
    assert list(second.children.all()) == [third]


def test_a_lineage_that_runs_in_a_circle_ends(alice_actor, model):
    first = version_create(actor=alice_actor, model=model)
    second = version_create(actor=alice_actor, model=model, parent=first)
    Version.objects.filter(id=first.id).update(parent=second)
    assert version_lineage(Version.objects.get(id=second.id)) == [first, second]


def test_an_alias_moves_from_version_to_version(alice_actor, bob_actor):
    first = published_version(alice_actor)
    second = version_publish(actor=bob_actor, version=_draft(bob_actor, first.model))
    for version, actor in ((first, alice_actor), (second, bob_actor)):
        alias = alias_set(actor=actor, model=first.model, name="production", version=version)
        assert (alias.version, alias.moved_by) == (version, actor.name)
    assert first.model.aliases.count() == 1


def test_strangers_see_no_versions(alice_actor, charlie_actor):
    version = published_version(alice_actor)
    assert list(version_list(actor=alice_actor)) == [version]
    assert not version_list(actor=charlie_actor)
