import warnings

import pytest
from django.core.management import call_command

from api.urls import urlpatterns
from tests.api.conftest import PREFIX, Api, openapi

METHODS = {"get", "post", "put", "patch", "delete"}
HIDDEN = {"schema", "missing"}
# What verifiers outside need, without an account.
PUBLIC = {
    f"GET {PREFIX}{path}"
    for path in ("integrity/{sha256}", "ledger/revocations", "ledger/trusted-root")
}


def _operations() -> dict[str, dict]:
    return {
        f"{method.upper()} {path}": operation
        for path, operations in openapi()["paths"].items()
        for method, operation in operations.items()
    }


def test_the_schema_is_made_without_a_warning(tmp_path):
    path = tmp_path / "schema.yaml"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        call_command("spectacular", validate=True, fail_on_warn=True, file=str(path))
    assert path.read_text().startswith("openapi: 3.")


@pytest.mark.django_db
def test_the_schema_is_served_to_everybody():
    response = Api().get("schema?format=json", check=False)
    assert response.status_code == 200
    assert f"{PREFIX}models" in response.json()["paths"]
    assert Api("smk_wrong").get("schema", check=False).status_code == 200


def test_every_operation_is_in_the_schema():
    expected = set()
    for pattern in urlpatterns:
        if pattern.name not in HIDDEN:
            view = pattern.callback.view_class
            expected |= {(pattern.name, method) for method in METHODS if hasattr(view, method)}
    assert len(_operations()) == len(expected)


@pytest.mark.parametrize("name", _operations())
def test_an_operation_is_documented(name):
    operation = _operations()[name]
    assert operation["description"].endswith(".")
    assert operation.get("security") == (None if name in PUBLIC else [{"token": []}])
    assert "default" in operation["responses"], "the error shape"
    assert any(status.startswith("2") for status in operation["responses"])
    for parameter in operation.get("parameters", []):
        assert parameter["schema"], parameter["name"]


def test_operations_have_names_of_their_own():
    names = [operation["operationId"] for operation in _operations().values()]
    assert len(set(names)) == len(names)


def test_the_schema_says_where_a_write_may_be_repeated():
    named = {
        name
        for name, operation in _operations().items()
        if any(one["name"] == "Idempotency-Key" for one in operation.get("parameters", []))
    }
    assert f"POST {PREFIX}runs" in named
    assert f"POST {PREFIX}models" in named
    assert not [name for name in named if not name.startswith("POST")]


def test_secrets_are_for_writing_only():
    for name, schema in openapi()["components"]["schemas"].items():
        if not name.endswith("Request"):
            assert not {"key_file", "headers"} & set(schema.get("properties", {})), name
