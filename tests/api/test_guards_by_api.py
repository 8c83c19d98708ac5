import json
import logging

import pytest

from api.models import IdempotencyRecord
from jobs.models import Job, SealedSecret
from protection.models import GuardClient, Protection
from tests.api.conftest import error_of
from tests.factories import GUARD_KEY as KEY
from tests.factories import (
    finished_guard,
    finished_protection,
    guard_client,
    guard_done,
    guard_key,
    published_version,
)

KEY_FILE = json.loads(KEY.dumps())
OTHER = guard_key(8)


@pytest.fixture
def guard(alice_actor) -> Protection:
    return finished_guard(alice_actor)


def committed(api, key=KEY) -> str:
    body = {"digest": key.commitment(), "scheme": key.scheme, "parameters": key.parameters}
    found: str = api.post("models/robin/versions/1/commitments", body).json()["id"]
    return found


def test_a_guard_is_made_measured_and_listed(api, alice_actor):
    published_version(alice_actor)
    wanted = {"commitment": committed(api), "key_file": KEY_FILE, "dataset": "fashion-mnist"}
    response = api.post("guards", {**wanted, "decimals": 4})
    assert response.status_code == 202
    told = response.json()
    assert (told["kind"], told["source"], told["result"]) == ("dynamic", "robin/1", None)
    assert told["settings"] == {
        "referenceSeed": told["settings"]["referenceSeed"],
        "images": 6000, "decimals": 4, "topK": None, "thresholds": None, "references": [],
    }  # fmt: skip
    assert told["job"]["kind"] == "guard"
    assert error_of(api.post("guards", wanted))["message"].startswith("There is a guard")
    guard_done(Protection.objects.get())
    told = api.get(f"protections/{told['id']}").json()
    assert told["report_card"]["strength"] == 50
    assert told["valid_from"]
    assert (told["valid_until"], told["replaces_id"]) == (None, None)
    assert api.get("protections").json()["results"] == [told]


def test_secrets_stay_out_of_rows_answers_and_logs(api, alice_actor, caplog):
    caplog.set_level(logging.DEBUG)
    published_version(alice_actor)
    wanted = {"commitment": committed(api), "key_file": KEY_FILE, "dataset": "fashion-mnist"}
    answer = api.post("guards", wanted, headers={"Idempotency-Key": "once"})
    assert KEY.secret not in bytes(SealedSecret.objects.get().ciphertext)
    guard = Protection.objects.get()
    guard_done(guard)
    body = {"key_file": KEY_FILE}
    api.post(f"guards/{guard.id}/clients", {**body, "name": "shop"})
    api.post(f"guards/{guard.id}/configuration", body, headers={"Idempotency-Key": "twice"})
    tables = (Protection, Job, GuardClient, IdempotencyRecord)
    rows = str([list(table.objects.values()) for table in tables])
    for text in (rows, answer.content.decode(), caplog.text):
        assert KEY_FILE["secret"] not in text
        assert KEY.secret.hex() not in text
    assert IdempotencyRecord.objects.count() == 1


def test_a_configuration_is_made_in_one_request(api, guard, alice_actor):
    guard_client(alice_actor, guard)
    response = api.post(f"guards/{guard.id}/configuration", {"key_file": KEY_FILE})
    assert response.status_code == 200
    assert "no-store" in response["Cache-Control"]
    told = response.json()
    assert (told["format"], told["key"]) == ("spellmark-guard/v1", KEY_FILE)
    drawn = {"shop": guard.clients.get().binding}
    assert (told["binding"], told["clients"]) == (guard.commitment.binding, drawn)
    wrong = {"key_file": json.loads(OTHER.dumps())}
    error = error_of(api.post(f"guards/{guard.id}/configuration", wrong))
    assert "does not open" in error["message"]


def test_a_guard_is_rotated(api, guard):
    body = {"commitment": committed(api, OTHER), "key_file": json.loads(OTHER.dumps())}
    response = api.post(f"guards/{guard.id}/rotation", {**body, "overlap_days": 7})
    assert response.status_code == 202
    told = response.json()
    assert (told["replaces_id"], told["settings"]["overlapDays"]) == (str(guard.id), 7)
    guard_done(Protection.objects.get(id=told["id"]))
    assert api.get(f"protections/{guard.id}").json()["valid_until"]
    error = error_of(api.post(f"guards/{guard.id}/rotation", {**body, "overlap_days": 0}))
    assert "overlap_days" in error["fields"]


def test_clients_come_and_end(api, guard):
    address = f"guards/{guard.id}/clients"
    response = api.post(address, {"name": "shop", "key_file": KEY_FILE})
    assert response.status_code == 201
    told = response.json()
    assert len(told["commitment"]) == 64
    assert api.get(address).json()["results"] == [told]
    ended = api.post(f"{address}/{told['id']}/end").json()
    assert ended["ended_at"]
    assert api.get(address).json()["results"] == [ended]
    error = error_of(api.post(address, {"name": "shop", "key_file": KEY_FILE}))
    assert "has, or had, a client of that name" in error["message"]


def test_a_theft_asks_about_a_second_data_set(api, guard):
    body = {"key_file": KEY_FILE, "dataset": "fashion-mnist", "attacks": ["other-images"]}
    path = f"protections/{guard.id}/attacks"
    assert api.post(path, {**body, "other_dataset": "mnist"}).json()["other_dataset"] == "mnist"
    assert api.post(path, body).json()["other_dataset"] == ""


def test_a_client_of_another_guard_is_not_found(api, guard, alice_actor):
    version = published_version(alice_actor, name="wren")
    other = finished_guard(alice_actor, version=version, key=OTHER)
    client = guard_client(alice_actor, other, key=OTHER)
    assert api.post(f"guards/{guard.id}/clients/{client.id}/end").status_code == 404


def test_a_lock_is_no_guard(api, alice_actor):
    lock = finished_protection(alice_actor)
    body = {"key_file": KEY_FILE}
    assert api.post(f"guards/{lock.id}/configuration", body).status_code == 404
