"""Walks every operation of every address: as nobody, as a stranger, with too few scopes."""

import base64
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest
from django.urls import URLPattern

from api.urls import urlpatterns
from jobs.models import Job
from protection.models import Editor, GuardClient, Protection, Unlock
from registry.models import Model
from tests.api.conftest import ALL, Api, error_of
from tests.factories import (
    FEATURE_KEY,
    GUARD_KEY,
    KEY,
    TRIGGER_KEY,
    editor_file,
    image_file,
    model_file,
)
from verification.models import Run

METHODS = ("get", "post", "put", "patch", "delete")
# What needs no permission beside a token; `missing` catches all addresses that do not exist.
PUBLIC = {"integrity", "revocations", "trusted-root"}
OPEN = {("schema", "get"), ("missing", "get"), ("me", "get"), *((name, "get") for name in PUBLIC)}
# A stranger gets their own answer here, never a 404: lists, the common log, and what they make.
SHARED = {
    "models", "protections", "editors", "jobs", "suspects", "references", "runs", "cases",
    "certificates", "me",
}  # fmt: skip
COMMON_LOG = {"checkpoint", "consistency", "entries", "entry-proof", "inclusion", "trust"}
OWN = {
    ("models", "post"), ("suspects", "post"), ("suspect-file", "put"), ("editors", "post"),
    ("editor-upload", "put"), ("reference-upload", "put"), ("integrity", "get"),
    ("entry-proof", "get"),
    # Whoever has the link to a case is meant to.
    ("shared", "get"), ("shared-registrations", "post"), ("shared-retests", "post"),
}  # fmt: skip
# Whoever may read may use a locked model with its key.
READERS = {"protection-unlocks"}
VERIFIES = {
    "suspects", "suspect-file", "references", "reference-upload", "runs", "fingerprint-runs",
    "cases", "case-runs", "case-reports", "case-shares", "case-share-end",
    "case-retest", "shared-registrations", "shared-retests",
}  # fmt: skip
# Their bodies name what is somebody's.
NAMING = {
    (name, "post")
    for name in ("key-locks", "prompt-locks", "guards", "trigger-watermarks", "external-features",
                 "references",
                 "runs", "fingerprint-runs", "cases")
}  # fmt: skip
QUERIES = {
    "consistency": "?old_size=1&new_size=2",
    "inclusion": "?index=0&size=2",
    "reference-upload": "?kind=other%20data&dataset=fashion-mnist",
}
# What stands in alice's objects and nowhere else.
ALICES = ("robin", "alices", "alice@example.org", "Acme", "A copy")


@dataclass(frozen=True)
class Operation:
    """A method of an address."""

    name: str
    method: str
    route: str

    def path(self, world: dict[str, Any]) -> str:
        """The address of alice's object."""
        parts = []
        for part in self.route.split("/"):
            known = part.strip("<>").partition(":")[2]
            parts.append(quote(str(world[known])) if part.startswith("<") else part)
        return "/".join(parts) + QUERIES.get(self.name, "")

    @property
    def names_an_object(self) -> bool:
        """Whether the address leads to something that belongs to somebody."""
        return "<" in self.route

    def __str__(self) -> str:
        return f"{self.method.upper()} {self.route}"


def _operations() -> list[Operation]:
    found = []
    for pattern in urlpatterns:
        assert isinstance(pattern, URLPattern)
        view = pattern.callback.view_class
        route = "no-such-address" if pattern.name == "missing" else str(pattern.pattern)
        methods = ["get"] if pattern.name == "missing" else [m for m in METHODS if hasattr(view, m)]
        found += [Operation(str(pattern.name), method, route) for method in methods]
    return found


OPERATIONS = _operations()
READS = [one for one in OPERATIONS if one.method == "get" and (one.name, "get") not in OPEN]
WRITES = [one for one in OPERATIONS if one.method != "get" and one.name not in READERS]


def _body(operation: Operation, world: dict[str, Any]) -> Any:
    """A body that would be accepted, if it came from alice."""
    key, guard_key = json.loads(KEY.dumps()), json.loads(GUARD_KEY.dumps())
    return {
        ("models", "post"): {"name": "wren"},
        ("model", "patch"): {"description": "mine now"},
        ("versions", "post"): {},
        ("file", "put"): model_file(),
        ("commitments", "post"): {
            "digest": "a" * 64, "scheme": KEY.scheme, "parameters": KEY.parameters,
        },
        ("alias", "put"): {"version": 1},
        ("key-locks", "post"): {
            "commitment": str(world["commitment_id"]), "key_file": key, "dataset": "fashion-mnist",
        },
        ("prompt-locks", "post"): {
            "commitment": str(world["commitment_id"]), "key_file": key, "dataset": "fashion-mnist",
        },
        ("protection-attacks", "post"): {"key_file": key, "dataset": "fashion-mnist"},
        ("false-claims", "post"): {"dataset": "fashion-mnist"},
        ("protection-unlocks", "post"): {
            "key_file": key, "image": base64.b64encode(image_file()).decode(),
        },
        ("guards", "post"): {
            "commitment": str(world["guard_commitment_id"]), "key_file": guard_key,
            "dataset": "fashion-mnist",
        },
        ("trigger-watermarks", "post"): {
            "commitment": str(world["trigger_commitment_id"]),
            "key_file": json.loads(TRIGGER_KEY.dumps()), "dataset": "fashion-mnist",
        },
        ("external-features", "post"): {
            "commitment": str(world["feature_commitment_id"]),
            "key_file": json.loads(FEATURE_KEY.dumps()), "dataset": "fashion-mnist",
        },
        ("guard-rotation", "post"): {
            "commitment": str(world["guard_commitment_id"]), "key_file": guard_key,
        },
        ("guard-configuration", "post"): {"key_file": guard_key},
        ("guard-clients", "post"): {"name": "app", "key_file": guard_key},
        ("editors", "post"): {"name": "e", "key_file": key, "dataset": "fashion-mnist"},
        ("editor-upload", "put"): editor_file(2),
        ("suspects", "post"): {
            "name": "s", "url": "http://127.0.0.1:9", "model": "m", "classes": 10,
        },
        ("suspect-file", "put"): model_file(),
        ("references", "post"): {"version": "robin/1", "dataset": "fashion-mnist"},
        ("reference-upload", "put"): model_file(),
        ("fingerprint-runs", "post"): {
            "suspect": str(world["suspect_id"]), "version": "robin/1",
            "dataset": "fashion-mnist", "method": "agreement",
        },
        ("runs", "post"): {
            "suspect": str(world["suspect_id"]), "protection": str(world["protection_id"]),
            "key_file": key,
        },
        ("cases", "post"): {"title": "mine", "runs": [str(world["run_id"])]},
        ("certificate-revocation", "post"): {"reason": "a slip"},
        ("case-retest", "post"): {"key_file": key},
        ("shared-registrations", "post"): {"certificate": str(world["certificate_id"])},
        ("shared-retests", "post"): {"run": str(world["run_id"]), "reason": "x"},
        ("case-runs", "post"): {"runs": [str(world["run_id"])]},
    }.get((operation.name, operation.method))  # fmt: skip


def _walk(api: Api, operations: list[Operation], world: dict[str, Any]) -> dict[str, int]:
    """Every operation's status; errors must come in the one shape."""
    found = {}
    for operation in operations:
        body = _body(operation, world)
        response = api.send(operation.method.upper(), operation.path(world), body)
        found[str(operation)] = response.status_code
        text = response.getvalue().decode(errors="replace")
        if response.status_code >= 400:
            error_of(response)
            assert not [word for word in ALICES if word in text], f"{operation}: {text}"
    return found


def _all(operations: list[Operation], status: int) -> dict[str, int]:
    return {str(operation): status for operation in operations}


def test_the_walk_is_long():
    assert len(OPERATIONS) > 40
    assert len(WRITES) > 12


def test_alice_reads_all_of_it(api, world):
    reads = [one for one in READS if one.name != "missing"]
    assert _walk(api, reads, world) == _all(reads, 200)


@pytest.mark.parametrize("token", [None, "", "smk_", "smk_0123456789abcdef_" + "A" * 43, "é"])
def test_nobody_gets_401_everywhere_but_for_the_schema(world, token):
    guarded = [one for one in OPERATIONS if one.name not in {"schema", *PUBLIC}]
    assert _walk(Api(token), guarded, world) == _all(guarded, 401)
    response = Api(token).get("models")
    assert response.headers["WWW-Authenticate"] == "Bearer"


def test_a_stranger_gets_404_for_whatever_is_alices(strangers_api, world, charlie):
    before = _everything()
    aimed = [
        one
        for one in OPERATIONS
        if (one.names_an_object and (one.name, one.method) not in OWN)
        or (one.name, one.method) in NAMING
    ]
    assert len(aimed) > 25
    assert _walk(strangers_api, aimed, world) == _all(aimed, 404)
    assert _everything() == before


def test_a_strangers_lists_hold_nothing_of_alices(strangers_api, world):
    for operation in READS:
        if operation.names_an_object or operation.name == "missing":
            continue
        assert operation.name in SHARED | COMMON_LOG, f"{operation}: say here whose it is"
        response = strangers_api.get(operation.path(world))
        assert response.status_code == 200
        text = response.getvalue().decode()
        assert not [word for word in ALICES if word in text], f"{operation}: {text}"
        if operation.name in SHARED - {"me"}:
            assert response.json()["results"] == [], operation


def test_a_stranger_cannot_add_alices_runs_to_a_case(strangers_api, world):
    case = strangers_api.post("cases", {"title": "mine"}).json()
    response = strangers_api.post(f"cases/{case['id']}/runs", {"runs": [str(world["run_id"])]})
    assert response.status_code == 404
    assert strangers_api.get(f"cases/{case['id']}").json()["runs"] == []


@pytest.mark.parametrize("scopes", [("write", "verify"), ("write",), ("verify",)])
def test_a_token_that_may_not_read_reads_nothing(limited_api, world, scopes):
    assert _walk(limited_api(*scopes), READS, world) == _all(READS, 403)


def test_a_token_that_may_only_read_writes_nothing(limited_api, world):
    before = _everything()
    assert _walk(limited_api("read"), WRITES, world) == _all(WRITES, 403)
    assert _everything() == before


def test_whoever_may_read_may_use_a_model_with_its_key(limited_api, world):
    for name in READERS:
        (one,) = [one for one in OPERATIONS if one.name == name]
        path, body = one.path(world), _body(one, world)
        assert limited_api("read").send(one.method.upper(), path, body).status_code == 202
        response = limited_api("write", "verify").send(one.method.upper(), path, body)
        assert response.status_code == 403


@pytest.mark.parametrize(("scope", "is_theirs"), [("write", False), ("verify", True)])
def test_writing_and_verifying_are_two_permissions(limited_api, world, scope, is_theirs):
    others = [one for one in WRITES if (one.name in VERIFIES) != is_theirs]
    assert others
    assert _walk(limited_api("read", scope), others, world) == _all(others, 403)


@pytest.mark.parametrize("scope", ALL)
def test_every_token_may_ask_who_it_is(limited_api, scope):
    told = limited_api(scope).get("me").json()
    assert told == {"name": "token pipeline", "organisation": "Acme", "permissions": [scope]}


def test_unknown_addresses_are_told_in_the_one_shape(api):
    for path in ("nothing", "models/", "models/robin/", "runs/1", "", "../v2/models"):
        response = api.get(path, check=False)
        assert response.status_code == 404, path
        assert error_of(response)["code"] == "not_found"


def test_methods_that_an_address_has_not_are_told(api, world):
    for operation in OPERATIONS:
        allowed = {one.method for one in OPERATIONS if one.route == operation.route}
        if operation.name in ("schema", "missing"):
            continue
        for method in set(METHODS) - allowed:
            response = api.send(method.upper(), operation.path(world))
            assert response.status_code == 405, f"{method} {operation.route}"
            assert error_of(response)["code"] == "method_not_allowed"
            assert {one.upper() for one in allowed} <= set(response.headers["Allow"].split(", "))


def _everything() -> list[Any]:
    tables = (Model, Run, Job, Editor, Unlock, Protection, GuardClient)
    return [list(table.objects.order_by("pk").values()) for table in tables]
