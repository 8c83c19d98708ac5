import logging

import pytest
from django.db import IntegrityError

from registry.models import Model
from tests.api.conftest import error_of
from tests.factories import published_version

MODEL = {"name": "robin"}


def test_a_refusal_has_a_code_a_message_and_a_hint(api, alice_actor):
    version = published_version(alice_actor)
    response = api.post(f"models/{version.model}/versions/1/publish")
    assert response.status_code == 400
    assert error_of(response) == {
        "code": "registry",
        "message": "robin v1 is published; it never changes.",
        "hint": "Open a new version instead.",
    }


def test_wrong_fields_are_named(api):
    response = api.post("models", {"name": "two words", "tags": ["x" * 51]})
    assert response.status_code == 400
    error = error_of(response)
    assert error["code"] == "invalid"
    assert set(error["fields"]) == {"name", "tags"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"name": NaN}',
        b'{"name": "robin", "description": Infinity}',
        b"[" * 100_000,
        b'{"name":' * 50_000,
        b"[]",
        b"null",
        b'"robin"',
        b'{"name": "\\u0000"}',
        b'{"name": "robin", "description": "\\u0000"}',
        b'{"name": "robin", "description": "\\ud800"}',
        b'{"name": "robin", "tags": ["\\u0000"]}',
        b'{"name": {"deep": 1}}',
        b'{"name": %s}' % (b"9" * 5000),
    ],
)
def test_bodies_that_cannot_be_read_are_400(api, body):
    response = api.post("models", body, content_type="application/json")
    assert response.status_code == 400
    error_of(response)
    assert not Model.objects.exists()


@pytest.mark.parametrize(
    "parameters", ['{"block": 1e400}', '{"block": "\\u0000"}', '{"block": "\\ud800"}', '{"a": {}}']
)
def test_parameters_that_cannot_be_stored_are_400(api, alice_actor, parameters):
    published_version(alice_actor)
    body = f'{{"digest": "{"a" * 64}", "scheme": "s", "parameters": {parameters}}}'.encode()
    response = api.post(
        "models/robin/versions/1/commitments", body, content_type="application/json"
    )
    assert response.status_code == 400


@pytest.mark.parametrize(
    "path",
    [
        "models?search=%00",
        "models?tag=%00",
        "models/robin/versions/1/files/%00",
        "models/robin/versions/99999999999999999999999",
        "models?page=0",
        "models?page=99999999999999999999999",
        "models?page=two",
        "models?page_size=%00",
        "reports/------------------------------------/pdf",
        "ledger/consistency",
        "ledger/consistency?old_size=-1&new_size=1",
        "ledger/consistency?old_size=2&new_size=1",
        "ledger/consistency?old_size=x&new_size=%00",
        "ledger/consistency?old_size=0&new_size=99999999999999999999999",
    ],
)
def test_odd_addresses_are_the_askers_mistake(api, alice_actor, path):
    published_version(alice_actor)
    response = api.get(path)
    assert response.status_code in (200, 400, 404), path
    if response.status_code != 200:
        error_of(response)


def test_a_body_of_another_type_is_415(api):
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        response = api.post("models", b"name=robin", content_type=content_type)
        assert response.status_code == 415
        assert error_of(response)["code"] == "unsupported_media_type"


def test_a_body_above_the_limit_is_413(api, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    body = {**MODEL, "description": "x" * 1000}
    for headers in ({}, {"Idempotency-Key": "k"}):
        response = api.post("models", body, headers=headers)
        assert response.status_code == 413
        assert error_of(response)["code"] == "too_large"
    assert api.post("models", MODEL).status_code == 201


@pytest.mark.parametrize("accept", ["application/zip", "text/html", "application/octet-stream"])
def test_the_accept_header_never_stands_in_the_way(api, alice_actor, accept):
    published_version(alice_actor)
    headers = {"Accept": accept}
    file = api.get("models/robin/versions/1/files/model.safetensors", headers=headers)
    assert file.status_code == 200
    assert api.get("models", headers=headers).json()["count"] == 1


def test_our_own_errors_are_500_and_tell_nothing(api, monkeypatch, caplog):
    def fails(**options):
        raise RuntimeError("the password is quiet")

    monkeypatch.setattr("api.registry.model_create", fails)
    with caplog.at_level(logging.ERROR, logger="spellmark.api"):
        response = api.post("models", MODEL)
    assert response.status_code == 500
    assert error_of(response)["code"] == "error"
    assert "quiet" not in response.content.decode()
    assert "RuntimeError: the password is quiet" in caplog.text


def test_a_race_for_one_name_is_409(api, monkeypatch):
    def too_late(**options):
        raise IntegrityError("duplicate key value violates one_model_a_name_and_organisation")

    monkeypatch.setattr("api.registry.model_create", too_late)
    response = api.post("models", MODEL)
    assert response.status_code == 409
    assert "one_model_a_name" not in response.content.decode()


def test_what_waits_for_the_log_is_409(api, alice_actor):
    version = published_version(alice_actor)
    response = api.get(f"certificates/{version.certificate_id}/proof")
    assert response.status_code == 409
    assert error_of(response)["code"] == "not_yet_logged"


def test_an_empty_log_has_no_checkpoint(api):
    assert api.get("ledger/checkpoint").status_code == 404
    assert api.get("ledger/consistency?old_size=0&new_size=0").status_code == 404
