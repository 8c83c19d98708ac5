"""A client that checks every answer against the OpenAPI schema, and alice's objects to ask for."""

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone
from drf_spectacular.generators import SchemaGenerator
from jsonschema import Draft202012Validator

from accounts.actors import Actor
from accounts.models import Membership, Organisation
from accounts.services import token_create
from disputes.rights import retest_request, share_create
from disputes.services import case_create, report_create, report_finish
from registry.services import alias_set
from tests.factories import (
    claimed,
    finished_guard,
    finished_run,
    finished_unlock,
    guard_client,
    own_editor,
    queued_feature,
    queued_trigger,
    reference_pool,
)

ALL = ("read", "write", "verify")
PREFIX = "/api/v1/"


@dataclass(frozen=True)
class Api:
    """Speaks to the API with a token, or with none."""

    token: str | None = None

    def send(
        self, method: str, path: str, body: Any = None, *, check: bool = True, **options: Any
    ) -> HttpResponse:
        """Send `body` (JSON, or bytes as they are) to a path below the prefix."""
        headers = options.pop("headers", {})
        if self.token is not None:
            headers = {"Authorization": f"Bearer {self.token}", **headers}
        if isinstance(body, bytes):
            options = {"data": body, "content_type": "application/octet-stream", **options}
        elif body is not None:
            options = {"data": json.dumps(body), "content_type": "application/json", **options}
        response = Client().generic(method, PREFIX + path, headers=headers, **options)
        if check:
            check_against_schema(method, path, response)
        return response

    def get(self, path: str, **options: Any) -> HttpResponse:
        """GET."""
        return self.send("GET", path, **options)

    def post(self, path: str, body: Any = None, **options: Any) -> HttpResponse:
        """POST."""
        return self.send("POST", path, body, **options)

    def put(self, path: str, body: Any = None, **options: Any) -> HttpResponse:
        """PUT."""
        return self.send("PUT", path, body, **options)


@cache
def openapi() -> dict[str, Any]:
    """The schema, with its parts turned from OpenAPI 3.0 into plain JSON Schema."""
    schema: dict[str, Any] = _plain(SchemaGenerator().get_schema(public=True))
    return schema


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    found = {name: _plain(item) for name, item in value.items() if name != "nullable"}
    return {"anyOf": [found, {"type": "null"}]} if value.get("nullable") is True else found


def check_against_schema(method: str, path: str, response: HttpResponse) -> None:
    """Fail unless the answer is one that the schema promises for this operation."""
    operation = _operation(method, urlsplit(path).path)
    status = str(response.status_code)
    promised = operation.get("responses", {})
    if response.status_code >= 400:
        _validate(error_of(response), "#/components/schemas/ErrorDetail")
        return
    assert status in promised, f"{method} {path} answered {status}, the schema has {[*promised]}"
    content_type = response.headers.get("Content-Type", "").partition(";")[0]
    content = promised[status].get("content", {})
    if not content:
        assert not response.content
    elif "application/json" in content and not response.streaming:
        part = content["application/json"]["schema"]
        assert content_type == "application/json"
        _validate(response.json(), part.get("$ref"))
    else:
        binary = "application/octet-stream"
        assert content_type in content or binary in content, f"{path} is {content_type}"


def error_of(response: HttpResponse) -> dict[str, Any]:
    """What stands in the one error shape."""
    assert response.headers["Content-Type"] == "application/json"
    told = response.json()
    assert set(told) == {"error"}, told
    error: dict[str, Any] = told["error"]
    assert set(error) <= {"code", "message", "hint", "fields"}
    assert error["code"]
    assert error["message"]
    return error


def _operation(method: str, path: str) -> dict[str, Any]:
    for template, operations in openapi()["paths"].items():
        pattern = re.sub(r"\{\w+\}", "[^/]+", template)
        if re.fullmatch(pattern, PREFIX + path) and method.lower() in operations:
            found: dict[str, Any] = operations[method.lower()]
            return found
    return {}


def _validate(value: Any, ref: str | None) -> None:
    if ref is not None:
        schema = {"$ref": ref, "components": openapi()["components"]}
        Draft202012Validator(schema).validate(value)


@pytest.fixture
def token_for() -> Callable[..., str]:
    """The text of a new token of an organisation."""

    def make(organisation: Organisation, scopes: Iterable[str] = ALL) -> str:
        owner = organisation.memberships.filter(role=Membership.Role.OWNER).first()
        _, text = token_create(
            actor=Actor.from_membership(owner), user=owner.user, name="pipeline",
            scopes=[*scopes], expires_at=timezone.now() + timedelta(days=1),
        )  # fmt: skip
        return text

    return make


@pytest.fixture
def api(acme, token_for) -> Api:
    """Acme's pipeline."""
    return Api(token_for(acme))


@pytest.fixture
def strangers_api(globex, token_for) -> Api:
    """Globex's pipeline, which may do everything in Globex."""
    return Api(token_for(globex))


@pytest.fixture
def limited_api(acme, token_for) -> Callable[..., Api]:
    """Acme's pipeline with some scopes only."""
    return lambda *scopes: Api(token_for(acme, scopes))


@pytest.fixture
def world(alice_actor) -> dict[str, Any]:
    """One of everything that alice's organisation can have, by the names in the addresses."""
    run = finished_run(alice_actor)
    version = run.protection.source
    alias_set(actor=alice_actor, model=version.model, name="production", version=version)
    case = case_create(actor=alice_actor, title="A copy", runs=[run])
    share, token = share_create(actor=alice_actor, case=case)
    guard = finished_guard(alice_actor, version=version)
    report = report_create(actor=alice_actor, case=case)
    report_finish(
        report=report,
        job=claimed(report.job),
        pdf=b"%PDF alices",
        html=b"<p>alices",
        evidence=b"PK",
    )
    return {
        "name": version.model.name,
        "number": version.number,
        "index": 0,
        "file": "model.safetensors",
        "alias": "production",
        "protection_id": run.protection.id,
        "guard_id": guard.id,
        "client_id": guard_client(alice_actor, guard).id,
        "guard_commitment_id": guard.commitment_id,
        "trigger_commitment_id": queued_trigger(alice_actor, version=version).commitment_id,
        "feature_commitment_id": queued_feature(alice_actor, version=version).commitment_id,
        "suspect_id": run.suspect.id,
        "unlock_id": finished_unlock(alice_actor, run.protection).id,
        "editor_id": own_editor(alice_actor).id,
        "commitment_id": run.protection.commitment.id,
        "job_id": run.job.id,
        "reference_id": reference_pool(alice_actor, version, of_a_kind=1)[0].id,
        "run_id": run.id,
        "certificate_id": run.certificate_id,
        "sha256": "0" * 64,
        "case_id": case.id,
        "share_id": share.id,
        "token": token,
        "retest_id": retest_request(share=share, run=run, name="Globex", reason="Ask again.").id,
        "report_id": report.id,
        "part": "pdf",
    }
