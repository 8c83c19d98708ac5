import pickle
from hashlib import sha256
from pathlib import Path

import pytest
from django.db import IntegrityError, transaction

from accounts.actors import ForbiddenError
from registry import storage
from spellmark.errors import SpellmarkError
from spellmark.suspects.base import SuspectConfigError, SuspectError
from tests.factories import model_file
from verification.models import Suspect
from verification.selectors import suspect_list
from verification.services import (
    VerificationError,
    suspect_endpoint_create,
    suspect_file_create,
)

# Literals, so that no name is resolved.
PUBLIC = "http://93.184.215.14"
PRIVATE = (
    "http://127.0.0.1:8000",
    "http://10.0.0.1",
    "http://172.16.0.1",
    "http://192.168.1.1",
    "http://169.254.169.254/latest/meta-data",
    "http://100.64.0.1",
    "http://0.0.0.0",
    "http://[::1]:8000",
    "http://[::ffff:10.0.0.1]",
    "http://[fd00::1]",
    "http://localhost:5432",
)
NO_URL = (
    "", "example.org", "file:///etc/passwd", "ftp://93.184.215.14", "gopher://93.184.215.14",
    "http://", "http://2130706433", "http://0x7f.1", "http://user:quiet@93.184.215.14",
    "http://93.184.215.14:0", "http://93.184.215.14:99999",
)  # fmt: skip


@pytest.fixture(autouse=True)
def nothing_allowed(settings):
    settings.EGRESS_ALLOWED_NETWORKS = ()


def _endpoint(actor, **choices) -> Suspect:
    config = {"url": PUBLIC, "model": "m", "classes": 10}
    return suspect_endpoint_create(actor=actor, name="suspect", config=config | choices)


def _kept(settings) -> list[Path]:
    return [path for path in settings.STORAGE.rglob("*") if path.is_file()]


def test_an_endpoint_on_the_public_internet_is_taken(bob_actor, acme):
    suspect = _endpoint(bob_actor)
    suspect.refresh_from_db()
    assert (suspect.organisation, suspect.kind, suspect.sha256) == (acme, "endpoint", "")
    assert suspect.config == {"url": PUBLIC, "model": "m", "classes": 10}


@pytest.mark.parametrize("url", PRIVATE)
def test_it_refuses_addresses_of_our_own_network(bob_actor, url):
    with pytest.raises(SuspectError, match="public internet only") as refused:
        _endpoint(bob_actor, url=url)
    assert (refused.value.kind, Suspect.objects.count()) == ("refused", 0)


@pytest.mark.parametrize("url", NO_URL)
def test_it_refuses_what_is_no_http_address(bob_actor, url):
    with pytest.raises(SuspectError, match="is refused") as refused:
        _endpoint(bob_actor, url=url)
    assert "quiet" not in str(refused.value)
    assert not Suspect.objects.exists()


def test_it_allows_the_networks_that_the_operator_names(bob_actor, settings):
    from ipaddress import ip_network

    settings.EGRESS_ALLOWED_NETWORKS = (ip_network("127.0.0.0/8"),)
    _endpoint(bob_actor, url="http://127.0.0.1:8000")
    with pytest.raises(SuspectError):
        _endpoint(bob_actor, url="http://10.0.0.1")


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": f"{PUBLIC}/?token=quiet"},
        {"url": f"{PUBLIC}/#part"},
        {"classes": 1},
        {"model": ""},
        {"model": ".."},
        {"datatype": "UINT8", "value_range": "0-1"},
    ],
)
def test_it_refuses_settings_that_no_run_could_use(bob_actor, wrong):
    with pytest.raises(SuspectConfigError) as refused:
        _endpoint(bob_actor, **wrong)
    assert "quiet" not in str(refused.value)
    assert not Suspect.objects.exists()


def test_a_model_file_is_taken_as_a_suspect(bob_actor):
    data = model_file()
    suspect = suspect_file_create(
        actor=bob_actor, name="found.safetensors", chunks=[data], expected_size=len(data)
    )
    suspect.refresh_from_db()
    assert (suspect.kind, suspect.sha256) == ("file", sha256(data).hexdigest())
    assert suspect.config["card"]["architecture"] == "small-cnn"
    assert storage.get(suspect.sha256) == data


@pytest.mark.parametrize(
    ("data", "size", "said"),
    [
        (b"", 0, "an empty file"),
        (pickle.dumps([1]), None, "a Python pickle"),
        (b"weights", 8, "stopped at 7 of 8"),
        (b"\x02\0\0\0\0\0\0\0{}", None, "no Spellmark model card"),
    ],
)
def test_it_refuses_files_that_cannot_be_asked(bob_actor, settings, data, size, said):
    with pytest.raises(SpellmarkError, match=said):
        suspect_file_create(actor=bob_actor, name="found", chunks=[data], expected_size=size)
    assert (Suspect.objects.count(), _kept(settings)) == (0, [])


@pytest.mark.parametrize("name", ["", "x" * 101])
def test_a_name_that_is_refused_leaves_no_bytes_behind(bob_actor, settings, name):
    with pytest.raises(VerificationError, match=r"^name: "):
        suspect_file_create(actor=bob_actor, name=name, chunks=[model_file()])
    assert (Suspect.objects.count(), _kept(settings)) == (0, [])


def test_a_suspect_file_has_a_digest_and_an_endpoint_none(bob_actor):
    suspect = _endpoint(bob_actor)
    for change in ({"sha256": "a" * 64}, {"kind": "file"}, {"kind": "file", "sha256": "A" * 64}):
        with pytest.raises(IntegrityError, match="has_a_digest"), transaction.atomic():
            Suspect.objects.filter(id=suspect.id).update(**change)


def test_naming_suspects_needs_the_permission_to_verify(alice_actor, acme):
    writer = type(alice_actor)(acme, "writer", frozenset({"read", "write"}))
    with pytest.raises(ForbiddenError):
        _endpoint(writer)
    with pytest.raises(ForbiddenError):
        suspect_file_create(
            actor=writer, name="a", chunks=iter(lambda: pytest.fail("it was read"), None)
        )


def test_strangers_see_no_suspects(bob_actor, charlie_actor):
    suspect = _endpoint(bob_actor)
    assert list(suspect_list(actor=bob_actor)) == [suspect]
    assert not suspect_list(actor=charlie_actor)
