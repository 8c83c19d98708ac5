import pytest
from django.db import IntegrityError, transaction

from accounts.actors import ForbiddenError
from ledger.models import Certificate
from ledger.selectors import certificate_statement
from registry.models import Commitment
from registry.selectors import commitment_list
from registry.services import RegistryError, commitment_create, model_create, version_create
from spellmark.errors import SpellmarkError
from tests.factories import KEY, published_version


@pytest.fixture
def version(alice_actor):
    return published_version(alice_actor)


def _commit(actor, version, **choices) -> Commitment:
    asked = {"digest": KEY.commitment(), "scheme": KEY.scheme, "parameters": KEY.parameters}
    return commitment_create(actor=actor, version=version, **(asked | choices))


def test_the_binding_is_drawn_by_the_registry_for_each_commitment(alice_actor, version):
    first = _commit(alice_actor, version)
    again = _commit(alice_actor, published_version(alice_actor, name="wren"))
    assert first.digest == again.digest
    assert len({first.binding, again.binding}) == 2
    for commitment in (first, again):
        assert len(bytes.fromhex(commitment.binding)) == 32
        assert commitment.binding not in (commitment.digest, commitment.version.root_digest)


def test_a_commitment_is_certified_with_its_binding(alice_actor, version):
    commitment = _commit(alice_actor, version, digest=KEY.commitment().upper())
    statement = certificate_statement(Certificate.objects.get(id=commitment.certificate_id))
    assert statement.model_digest == version.root_digest
    assert (statement.commitment, statement.binding) == (KEY.commitment(), commitment.binding)
    assert (statement.scheme, statement.parameters) == (KEY.scheme, KEY.parameters)
    assert statement.organisation == "Acme"


def test_a_secret_is_committed_once_to_a_version(alice_actor, version):
    _commit(alice_actor, version)
    with pytest.raises(RegistryError, match="already exists"):
        _commit(alice_actor, version)
    assert Commitment.objects.count() == 1
    row = Commitment.objects.get()
    row.pk = None
    with pytest.raises(IntegrityError, match="committed_once"), transaction.atomic():
        row.save(force_insert=True)


def test_a_draft_takes_no_commitment(alice_actor):
    model = model_create(actor=alice_actor, name="robin")
    draft = version_create(actor=alice_actor, model=model)
    with pytest.raises(RegistryError, match="draft takes no commitments"):
        _commit(alice_actor, draft)
    assert not Commitment.objects.exists()


@pytest.mark.parametrize("digest", ["", "a" * 63, "a" * 65, "g" * 64, "ä" * 64])
def test_it_refuses_what_is_no_digest(alice_actor, version, digest):
    certificates = Certificate.objects.count()
    with pytest.raises(SpellmarkError):
        _commit(alice_actor, version, digest=digest)
    assert (Commitment.objects.count(), Certificate.objects.count()) == (0, certificates)


@pytest.mark.parametrize(
    "parameters",
    [
        {"block": 4.0},
        {"block": True},
        {"block": None},
        {"block": [4]},
        {"block": {"deep": 4}},
        {"block": 1 << 63},
        {"block": "\x00"},
        {"block": "\ud800"},
        {"\x00": 4},
        {"block": "x" * 1001},
        {str(number): number for number in range(51)},
    ],
)
def test_it_refuses_parameters_that_no_key_file_has(alice_actor, version, parameters):
    with pytest.raises(RegistryError, match="parameters of a commitment"):
        _commit(alice_actor, version, parameters=parameters)


def test_readers_and_strangers(alice_actor, charlie_actor, acme, version):
    commitment = _commit(alice_actor, version)
    reader = type(alice_actor)(acme, "reader", frozenset({"read"}))
    assert list(commitment_list(actor=reader)) == [commitment]
    assert not commitment_list(actor=charlie_actor)
    with pytest.raises(ForbiddenError):
        _commit(reader, version, digest="a" * 64)
