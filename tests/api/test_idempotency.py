"""One write a key. What two connections do at once: test_live_server.py."""

import json

import pytest

from api.models import IdempotencyRecord
from jobs.models import Job
from protection.models import Protection
from registry.models import Model, Version
from tests.api.conftest import error_of
from tests.factories import KEY, published_version
from verification.models import Run

HEADERS = {"Idempotency-Key": "release-1"}


def test_the_same_request_is_done_once_and_answered_alike(api):
    first = api.post("models", {"name": "robin"}, headers=HEADERS)
    again = api.post("models", {"name": "robin"}, headers=HEADERS)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert "Idempotent-Replay" not in first.headers
    assert again.headers["Idempotent-Replay"] == "true"
    assert (Model.objects.count(), IdempotencyRecord.objects.count()) == (1, 1)


def test_without_a_key_every_request_counts(api):
    api.post("models", {"name": "robin"})
    for _ in range(2):
        assert api.post("models/robin/versions", {}).status_code == 201
    assert (Version.objects.count(), IdempotencyRecord.objects.count()) == (2, 0)


@pytest.mark.parametrize(
    ("path", "body"), [("models", {"name": "wren"}), ("models/robin/versions", {"name": "robin"})]
)
def test_a_key_is_not_used_for_another_request(api, path, body):
    api.post("models", {"name": "robin"}, headers=HEADERS)
    response = api.post(path, body, headers=HEADERS)
    assert response.status_code == 400
    assert error_of(response)["code"] == "idempotency"
    assert (Model.objects.count(), Version.objects.count()) == (1, 0)


def test_a_write_that_fails_leaves_no_record(api):
    assert api.post("models", {"name": "two words"}, headers=HEADERS).status_code == 400
    assert api.post("models/none/versions", {}, headers=HEADERS).status_code == 404
    assert not IdempotencyRecord.objects.exists()
    assert api.post("models", {"name": "robin"}, headers=HEADERS).status_code == 201


def test_a_write_that_breaks_leaves_no_record_and_no_row(api, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr("api.registry.ModelSerializer", lambda model: 1 / 0)
        assert api.post("models", {"name": "robin"}, headers=HEADERS).status_code == 500
    assert (Model.objects.count(), IdempotencyRecord.objects.count()) == (0, 0)
    assert api.post("models", {"name": "robin"}, headers=HEADERS).status_code == 201


def test_a_key_belongs_to_its_organisation(api, strangers_api):
    first = api.post("models", {"name": "robin"}, headers=HEADERS)
    other = strangers_api.post("models", {"name": "robin"}, headers=HEADERS)
    assert other.status_code == 201
    assert "Idempotent-Replay" not in other.headers
    assert first.json()["id"] != other.json()["id"]


def test_a_token_that_may_not_write_is_not_told_the_answer(api, limited_api):
    api.post("models", {"name": "robin"}, headers=HEADERS)
    response = limited_api("read").post("models", {"name": "robin"}, headers=HEADERS)
    assert response.status_code == 400
    assert error_of(response)["code"] == "idempotency"


def test_the_record_holds_no_secret(api, alice_actor):
    _commit_and_lock(api, alice_actor)
    text = json.dumps(list(IdempotencyRecord.objects.values()), default=str)
    key = json.loads(KEY.dumps())
    assert "release-1" in text
    assert key["secret"] not in text
    assert key["nonce"] not in text


def test_jobs_are_started_once(api, alice_actor, world):
    protections = Protection.objects.count()
    protection = _commit_and_lock(api, alice_actor)
    assert _commit_and_lock(api, alice_actor) == protection
    body = {
        "suspect": str(world["suspect_id"]),
        "protection": str(world["protection_id"]),
        "key_file": json.loads(KEY.dumps()),
    }
    jobs, runs = Job.objects.count(), Run.objects.count()
    answers = [api.post("runs", body, headers={"Idempotency-Key": "run"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].json() == answers[1].json()
    case = f"cases/{world['case_id']}"
    reports = [api.post(f"{case}/reports", headers={"Idempotency-Key": "report"}) for _ in range(2)]
    assert [answer.status_code for answer in reports] == [202, 202]
    assert reports[0].json() == reports[1].json()
    assert (Job.objects.count(), Run.objects.count()) == (jobs + 2, runs + 1)
    assert Protection.objects.count() == protections + 1


def _commit_and_lock(api, actor) -> dict:
    if not Model.objects.filter(name="wren").exists():
        published_version(actor, name="wren")
    body = {"digest": KEY.commitment(), "scheme": KEY.scheme, "parameters": KEY.parameters}
    path = "models/wren/versions/1/commitments"
    commitment = api.post(path, body, headers={"Idempotency-Key": "commit"})
    assert commitment.status_code == 201
    body = {
        "commitment": commitment.json()["id"],
        "key_file": json.loads(KEY.dumps()),
        "dataset": "fashion-mnist",
    }
    response = api.post("key-locks", body, headers=HEADERS)
    assert response.status_code == 202, response.content
    return response.json()
