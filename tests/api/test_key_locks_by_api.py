import json

import pytest

from jobs.models import Job
from protection.models import Protection, Rehearsal
from spellmark.attacks.key_lock.catalogue import ATTACKS
from tests.api.conftest import error_of
from tests.factories import KEY, key_file, published_version

KEY_FILE = json.loads(KEY.dumps())


def _commit(api, key=KEY, **changes):
    body = {"digest": key.commitment(), "scheme": key.scheme, "parameters": key.parameters}
    return api.post("models/robin/versions/1/commitments", {**body, **changes}).json()


@pytest.fixture
def robin(alice_actor) -> None:
    published_version(alice_actor)


def test_a_lock_takes_all_variants_and_its_settings(api, robin):
    key = key_file(
        block=2, steps="scramble+shuffle+flip+substitute", masked=30, tables="position",
        keys="block", labels="plain", subkeys=3,
    )  # fmt: skip
    commitment = _commit(api, key)
    assert commitment["parameters"] == key.parameters
    response = api.post(
        "key-locks",
        {
            "commitment": commitment["id"], "key_file": json.loads(key.dumps()),
            "dataset": "fashion-mnist", "epochs": 3, "images": 500, "wrong_keys": 2000, "seeds": 1,
        },
    )  # fmt: skip
    assert response.status_code == 202
    told = response.json()
    assert told["parameters"] == key.parameters
    assert told["settings"] == {"epochs": 3, "images": 500, "wrongKeys": 2000, "seeds": 1}


def test_the_defaults_need_no_settings(api, robin):
    body = {"commitment": _commit(api)["id"], "key_file": KEY_FILE, "dataset": "fashion-mnist"}
    settings = api.post("key-locks", body).json()["settings"]
    assert settings == {"epochs": 119, "images": 6000, "wrongKeys": 1000, "seeds": 3}
    settings = api.post("key-locks", {**body, "images": 60_000}).json()["settings"]
    assert settings == {"epochs": 12, "images": 60_000, "wrongKeys": 1000, "seeds": 3}


@pytest.mark.parametrize(
    "wrong", [{"wrong_keys": 999}, {"seeds": 0}, {"seeds": 11}, {"epochs": 0}, {"images": 1}]
)
def test_settings_out_of_range_are_told(api, robin, wrong):
    body = {"commitment": _commit(api)["id"], "key_file": KEY_FILE, "dataset": "x", **wrong}
    response = api.post("key-locks", body)
    assert response.status_code == 400
    assert set(error_of(response)["fields"]) == set(wrong)
    assert not Protection.objects.exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"block": 3}, "do not divide into blocks of 3"),
        ({"block": 8, "steps": "scramble"}, "Moving 1 block about"),
        ({"block": 7, "padding": "edge"}, "Padding makes the images 14×14 pixels"),
    ],
)
def test_a_lock_that_cannot_be_is_told_in_a_sentence(api, robin, changes, said):
    key = key_file(**changes)
    body = {"commitment": _commit(api, key)["id"], "key_file": json.loads(key.dumps())}
    response = api.post("key-locks", {**body, "dataset": "fashion-mnist"})
    assert response.status_code == 400
    error = error_of(response)
    assert said in error["message"]
    assert error["hint"]
    assert not Job.objects.exists()


def test_a_lock_is_attacked_and_all_rehearsals_are_listed(api, world):
    path = f"protections/{world['protection_id']}/attacks"
    body = {"key_file": KEY_FILE, "dataset": "fashion-mnist"}
    response = api.post(path, body)
    assert response.status_code == 202
    told = response.json()
    assert (told["attacks"], told["budget"], told["results"]) == ([*ATTACKS], "quick", None)
    assert told["job"]["kind"] == "key-lock-attacks"
    api.post(path, {**body, "attacks": ["fine-tune"], "budget": "full"})
    listed = api.get(path).json()["results"]
    assert [one["attacks"] for one in listed] == [["fine-tune"], [*ATTACKS]]
    assert KEY_FILE["secret"] not in json.dumps(listed)


@pytest.mark.parametrize(
    "wrong", [{"attacks": []}, {"attacks": ["x"]}, {"budget": "x"}, {"key_file": {"format": "x"}}]
)
def test_attacks_that_do_not_exist_are_told(api, world, wrong):
    path = f"protections/{world['protection_id']}/attacks"
    response = api.post(path, {"key_file": KEY_FILE, "dataset": "fashion-mnist", **wrong})
    assert response.status_code == 400
    assert error_of(response)["message"]
    assert not Rehearsal.objects.exists()


def test_the_key_of_another_lock_attacks_nothing(api, world):
    other = json.loads(KEY.generate(KEY.scheme, KEY.parameters).dumps())
    path = f"protections/{world['protection_id']}/attacks"
    response = api.post(path, {"key_file": other, "dataset": "fashion-mnist"})
    assert response.status_code == 400
    assert "does not open" in error_of(response)["message"]
