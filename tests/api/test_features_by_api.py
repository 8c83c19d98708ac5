import json

from protection.models import Protection
from tests.api.conftest import error_of
from tests.factories import FEATURE_KEY as KEY
from tests.factories import (
    endpoint_suspect,
    feature_key,
    finished_feature,
    published_version,
    reference_pool,
)

KEY_FILE = json.loads(KEY.dumps())


def committed(api, key=KEY) -> str:
    body = {"digest": key.commitment(), "scheme": key.scheme, "parameters": key.parameters}
    found: str = api.post("models/robin/versions/1/commitments", body).json()["id"]
    return found


def test_a_feature_is_started_and_listed(api, alice_actor):
    published_version(alice_actor)
    wanted = {"commitment": committed(api), "key_file": KEY_FILE, "dataset": "fashion-mnist"}
    assert api.post("external-features", {**wanted, "share": 31}).status_code == 400
    response = api.post("external-features", {**wanted, "share": 30})
    assert response.status_code == 202
    told = response.json()
    assert (told["kind"], told["source"], told["result"]) == ("external-feature", "robin/1", None)
    assert told["settings"] == {"images": 6000, "epochs": 8, "share": 30}
    assert KEY_FILE["secret"] not in response.content.decode()
    assert "already" in error_of(api.post("external-features", wanted))["message"]
    assert api.get("protections").json()["results"] == [told]


def test_a_key_that_does_not_open_the_commitment_is_refused(api, alice_actor):
    published_version(alice_actor)
    wanted = {"commitment": committed(api), "dataset": "fashion-mnist"}
    other = json.loads(feature_key(3).dumps())
    error = error_of(api.post("external-features", {**wanted, "key_file": other}))
    assert "does not open" in error["message"]
    assert not Protection.objects.exists()


def test_a_run_is_ranked_in_the_pool(api, alice_actor):
    row = finished_feature(alice_actor)
    suspect = endpoint_suspect(alice_actor)
    wanted = {"suspect": str(suspect.id), "protection": str(row.id), "key_file": KEY_FILE}
    assert "this rule needs 19 of each" in error_of(api.post("runs", wanted))["message"]
    reference_pool(alice_actor, row.result)
    told = api.post("runs", wanted).json()
    rule = told["rule"]
    assert (told["method"], told["evidence_class"]) == ("external-feature", "indicative")
    assert (rule["alpha"], rule["probes"], rule["of_a_kind"]) == (0.05, 100, 19)
    error = error_of(api.post("runs", {**wanted, "alpha": 0.01}))
    assert "this rule needs 99 of each" in error["message"]
    error = error_of(api.post("runs", {**wanted, "query_cap": 299}))
    assert "take 300 requests" in error["message"]
    error = error_of(api.post("runs", {**wanted, "method": "trigger-watermark"}))
    assert "do not belong together" in error["message"]
