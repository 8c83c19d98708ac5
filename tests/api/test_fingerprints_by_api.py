"""The null pool and runs by fingerprint over the REST API."""

import pytest

from tests import factories

DATA = "fashion-mnist"


def test_a_pool_is_grown_listed_and_added_to(api, alice_actor):
    version = factories.published_version(alice_actor, name="wren")
    response = api.post("references", {"version": "wren/1", "dataset": DATA, "of_a_kind": 2})
    assert response.status_code == 202
    assert response.json()["kind"] == "null-pool"
    assert api.post("references", {"version": "crow/1", "dataset": DATA}).status_code == 404
    factories.reference_pool(alice_actor, version, of_a_kind=1)
    body = factories.model_file(description="brought")
    response = api.put(f"references/files/elder?kind=other%20data&dataset={DATA}", body)
    assert response.status_code == 201
    assert (response.json()["source"], response.json()["version"]) == ("uploaded", None)
    rows = api.get("references").json()["results"]
    assert rows[0]["name"] == "elder"
    assert {row["version"] for row in rows} == {None, "wren/1"}
    file = api.get(f"references/{rows[0]['id']}/file")
    assert b"".join(file.streaming_content) == body


@pytest.mark.parametrize("method", ["agreement", "correlation"])
def test_a_run_needs_no_key(api, alice_actor, method):
    version = factories.published_version(alice_actor, name="wren")
    suspect = factories.endpoint_suspect(alice_actor)
    wanted = {
        "suspect": str(suspect.id), "version": "wren/1", "dataset": DATA, "method": method,
    }  # fmt: skip
    factories.ledger_sequence()
    refused = api.post("runs/fingerprint", wanted)
    assert refused.status_code == 400
    assert "null pool holds 0 models" in refused.json()["error"]["message"]
    factories.reference_pool(alice_actor, version)
    response = api.post("runs/fingerprint", wanted)
    assert response.status_code == 202
    told = response.json()
    assert (told["version"], told["protection_id"]) == ("wren/1", None)
    assert (told["evidence_class"], told["rule"]["of_a_kind"]) == ("indicative", 19)
    assert len(told["pool"]) == 57


def test_a_finished_run_tells_pool_and_score(api, alice_actor):
    run = factories.finished_fingerprint_run(alice_actor, probes=20)
    told = api.get(f"runs/{run.id}").json()
    assert (told["verdict"], told["score"]) == ("match", 0.95)
    assert told["findings"]["falsePositives"] == 0
    assert api.get(f"runs/{run.id}/bundle").status_code == 200
