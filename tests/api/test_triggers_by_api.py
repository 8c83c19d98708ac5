import json

from protection.models import Protection
from tests.api.conftest import error_of
from tests.factories import TRIGGER_KEY as KEY
from tests.factories import endpoint_suspect, finished_trigger, published_version, trigger_key

KEY_FILE = json.loads(KEY.dumps())


def committed(api, key=KEY) -> str:
    body = {"digest": key.commitment(), "scheme": key.scheme, "parameters": key.parameters}
    found: str = api.post("models/robin/versions/1/commitments", body).json()["id"]
    return found


def test_a_watermark_is_started_and_listed(api, alice_actor):
    published_version(alice_actor)
    wanted = {"commitment": committed(api), "key_file": KEY_FILE, "dataset": "fashion-mnist"}
    response = api.post("trigger-watermarks", {**wanted, "epochs": 3})
    assert response.status_code == 202
    told = response.json()
    assert (told["kind"], told["source"], told["result"]) == ("trigger", "robin/1", None)
    assert told["settings"] == {"images": 6000, "epochs": 3}
    assert told["certificate_id"] is None
    assert KEY_FILE["secret"] not in response.content.decode()
    assert error_of(api.post("trigger-watermarks", wanted))["message"].startswith("There is a")
    assert api.get("protections").json()["results"] == [told]


def test_a_key_that_does_not_open_the_commitment_is_refused(api, alice_actor):
    published_version(alice_actor)
    wanted = {"commitment": committed(api), "dataset": "fashion-mnist"}
    other = json.loads(trigger_key(3).dumps())
    error = error_of(api.post("trigger-watermarks", {**wanted, "key_file": other}))
    assert "does not open" in error["message"]
    assert not Protection.objects.exists()


def test_a_run_gets_the_committed_rule(api, alice_actor):
    row = finished_trigger(alice_actor)
    suspect = endpoint_suspect(alice_actor)
    wanted = {"suspect": str(suspect.id), "protection": str(row.id), "key_file": KEY_FILE}
    told = api.post("runs", wanted).json()
    rule = told["rule"]
    assert (told["method"], rule["alpha"], rule["probes"]) == ("trigger-watermark", 1e-6, 32)
    assert (rule["registration"], rule["run"], rule["used"]) == (1, 1, [])
    # What the first one may still open is held back from the second.
    second = api.post("runs", wanted).json()["rule"]
    assert second["run"] == 2
    assert len(second["used"]) == 32
    error = error_of(api.post("runs", {**wanted, "alpha": 0.01}))
    assert "which stays" in error["message"]
    api.post("runs", wanted)
    assert "too few for a run" in error_of(api.post("runs", wanted))["message"]
