import hashlib
import json

import pytest

from jobs.models import Job, SealedSecret
from protection.models import Editor
from registry.models import Commitment
from spellmark.locks.prompt_lock.parameters import SCHEME, PromptLockParameters
from spellmark.secrets import KeyFile
from tests.api.conftest import error_of
from tests.factories import KEY, editor_file, model_file, published_version

FILE = editor_file()
TRAINING = {"name": "ours", "key_file": json.loads(KEY.dumps()), "dataset": "fashion-mnist"}


def test_an_editor_is_uploaded_listed_and_downloaded(api):
    response = api.put("editors/files/ours", FILE)
    assert response.status_code == 201
    told = response.json()
    assert (told["name"], told["job"]) == ("ours", None)
    assert told["digest"] == hashlib.sha256(FILE).hexdigest()
    assert api.get("editors").json()["results"] == [told]
    assert api.get(f"editors/{told['id']}").json() == told
    response = api.get(f"editors/{told['id']}/file")
    assert response.getvalue() == FILE
    assert "no-store" in response["Cache-Control"]
    assert error_of(api.put("editors/files/again", FILE))["message"].endswith("already.")
    error = error_of(api.put("editors/files/other", model_file()))
    assert "no editor of Spellmark" in error["message"]
    assert error["hint"]


def test_an_editor_is_trained_and_its_key_stays_sealed(api):
    response = api.post("editors", {**TRAINING, "steps": 50})
    assert response.status_code == 202
    told = response.json()
    assert told["settings"]["steps"] == 50
    assert (told["digest"], told["job"]["kind"]) == ("", "editor-training")
    rows = response.content.decode() + str([*Editor.objects.values(), *Job.objects.values()])
    assert json.loads(KEY.dumps())["secret"] not in rows
    assert KEY.secret.hex() not in rows
    assert KEY.secret not in bytes(SealedSecret.objects.get().ciphertext)
    # There is nothing to download yet.
    assert api.get(f"editors/{told['id']}/file").status_code == 404


def test_the_usual_training_needs_no_settings(api):
    assert api.post("editors", TRAINING).json()["settings"]["steps"] == 1500
    assert "steps" in error_of(api.post("editors", {**TRAINING, "steps": 1}))["fields"]


def test_a_file_is_handed_to_writers_only(api, limited_api):
    address = f"editors/{api.put('editors/files/ours', FILE).json()['id']}/file"
    assert limited_api("read").get(address).status_code == 403
    assert limited_api("read", "verify").get(address).status_code == 403
    assert limited_api("read", "write").get(address).status_code == 200


def _lock(api, key: KeyFile, name: str):
    body = {"digest": key.commitment(), "scheme": key.scheme, "parameters": key.parameters}
    commitment = api.post(f"models/{name}/versions/1/commitments", body).json()["id"]
    body = {"commitment": commitment, "key_file": json.loads(key.dumps()), "dataset": "x"}
    return api.post("prompt-locks", body)


def test_prompt_locks_take_the_organisations_own_editors(
    api, strangers_api, alice_actor, charlie_actor
):
    published_version(alice_actor, name="robin")
    published_version(charlie_actor, name="wren")
    digest = api.put("editors/files/ours", FILE).json()["digest"]
    parameters = PromptLockParameters(editor=digest)
    key = KeyFile(SCHEME, parameters.as_dict(), bytes(32), bytes(32), "open sesame")
    response = _lock(api, key, "robin")
    assert response.status_code == 202
    assert response.json()["parameters"]["editor"] == digest
    refused = _lock(strangers_api, key, "wren")
    assert "is not known here" in error_of(refused)["message"]
    assert Commitment.objects.count() == 2


@pytest.mark.parametrize("key_file", ["x", {}, []])
def test_what_is_no_key_file_is_told(api, key_file):
    response = api.post("editors", {**TRAINING, "key_file": key_file})
    assert "not a Spellmark key file" in error_of(response)["message"]
