import base64
import json
from dataclasses import replace

import pytest

from jobs.models import Job, SealedSecret
from protection.models import Protection, Unlock
from protection.unlocks import unlock_finish
from tests import factories
from tests.api.conftest import error_of

KEY = factories.KEY


@pytest.fixture
def protection(alice_actor) -> Protection:
    made = factories.finished_protection(alice_actor)
    made.refresh_from_db()
    return made


def body(image: bytes | str = factories.image_file(16, 8), key=KEY):
    text = image if isinstance(image, str) else base64.b64encode(image).decode()
    return {"key_file": json.loads(key.dumps()), "image": text}


def test_an_image_is_answered(api, protection):
    response = api.post(f"protections/{protection.id}/unlocks", body())
    assert response.status_code == 202
    told = response.json()
    assert (told["with_key"], told["without_key"], told["job"]["state"]) == (None, None, "queued")
    assert told["changes"] == [
        "It was 8×16 pixels; the model takes 8×8, so it was resized, not in proportion."
    ]
    unlock = Unlock.objects.get()
    unlock_finish(
        unlock=unlock, job=factories.claimed(unlock.job), picture=b"", with_key=[0.25, 0.75],
        without_key=[0.5, 0.5],
    )  # fmt: skip
    told = api.get(f"unlocks/{told['id']}").json()
    assert told["with_key"][0] == {"label": 1, "name": "class 1", "probability": 0.75}
    assert told["job"]["state"] == "succeeded"


def test_key_and_image_stay_sealed(api, protection):
    response = api.post(f"protections/{protection.id}/unlocks", body())
    rows = response.content.decode() + str([*Unlock.objects.values(), *Job.objects.values()])
    for secret in (json.loads(KEY.dumps())["secret"], KEY.secret.hex(), "iVBOR"):
        assert secret not in rows
    assert KEY.secret not in bytes(SealedSecret.objects.get().ciphertext)


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (body(key=replace(KEY, secret=bytes(32))), "does not open the registered commitment"),
        (body(b"text"), "no image that can be read"),
    ],
)
def test_what_cannot_be_answered_is_told_in_a_sentence(api, protection, sent, said):
    response = api.post(f"protections/{protection.id}/unlocks", sent)
    assert response.status_code == 400
    assert said in error_of(response)["message"]
    assert not Unlock.objects.exists()


def test_what_is_no_base64_is_told(api, protection):
    response = api.post(f"protections/{protection.id}/unlocks", body("é%"))
    assert error_of(response)["fields"] == {"image": ["This is not Base64."]}


def test_a_repeated_request_is_answered_once(api, protection):
    wanted = {"headers": {"Idempotency-Key": "one"}}
    address = f"protections/{protection.id}/unlocks"
    first, second = (api.post(address, body(), **wanted).json() for _ in range(2))
    assert first == second
    assert Unlock.objects.count() == 1
