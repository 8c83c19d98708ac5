import json
from dataclasses import replace

import pytest

from jobs.models import Job, SealedSecret
from protection.models import Protection
from registry.models import Commitment
from spellmark.locks.prompt_lock.parameters import SCHEME, PromptLockParameters
from spellmark.locks.prompt_lock.public_editor import public_digest
from spellmark.secrets import KeyFile
from tests import factories
from tests.api.conftest import error_of
from tests.factories import KEY, published_version


def _file(editor: str = "", **chosen) -> KeyFile:
    parameters = PromptLockParameters(editor=editor or public_digest(), **chosen)
    return KeyFile(SCHEME, parameters.as_dict(), bytes(range(32)), bytes(32), "open sesame")


def _commit(api, key: KeyFile):
    body = {"digest": key.commitment(), "scheme": key.scheme, "parameters": key.parameters}
    return api.post("models/robin/versions/1/commitments", body).json()


@pytest.fixture
def robin(alice_actor) -> None:
    published_version(alice_actor)


def _start(api, key: KeyFile, commitment_of: KeyFile | None = None, **settings):
    commitment = _commit(api, commitment_of or key)["id"]
    body = {"commitment": commitment, "key_file": json.loads(key.dumps()), "dataset": "x"}
    return api.post("prompt-locks", {**body, **settings})


def test_a_prompt_lock_is_started_and_its_spell_stays_sealed(api, robin):
    chosen = {"epochs": 2, "images": 500, "wrong_keys": 100, "seeds": 1}
    response = _start(api, _file(alpha=40), **chosen, negatives="random-label")
    assert response.status_code == 202
    told = response.json()
    assert told["kind"] == "prompt-lock"
    assert told["parameters"]["alpha"] == 40
    assert told["settings"] == {
        "epochs": 2, "images": 500, "wrongKeys": 100, "seeds": 1, "negatives": "random-label",
    }  # fmt: skip
    assert "sesame" not in response.content.decode()
    rows = [*Job.objects.values(), *Commitment.objects.values(), *Protection.objects.values()]
    assert "sesame" not in str(rows)
    assert b"sesame" not in bytes(SealedSecret.objects.get().ciphertext)


def test_the_defaults_need_no_settings(api, robin):
    settings = _start(api, _file()).json()["settings"]
    assert settings == {
        "epochs": 12, "images": 12_000, "wrongKeys": 100, "seeds": 3, "negatives": "uniform",
    }  # fmt: skip


def test_negatives_that_there_are_not_are_refused(api, robin):
    response = _start(api, _file(), negatives="some")
    assert response.status_code == 400
    assert not Job.objects.exists()


def test_a_version_with_an_extra_class_is_not_locked_again(api, alice_actor, monkeypatch):
    monkeypatch.setattr(factories, "CARD", replace(factories.CARD, extra_classes=1))
    published_version(alice_actor)
    response = _start(api, _file())
    assert response.status_code == 400
    assert "is locked already" in error_of(response)["message"]


@pytest.mark.parametrize(
    ("key", "committed", "said"),
    [
        (_file("0" * 64), None, "editor 000000000000… is not known here"),
        (KEY, None, "is for key-lock/v1, not for prompt-lock/v1"),
        (_file(seed=1), _file(), "does not open the registered commitment"),
    ],
)
def test_a_lock_that_cannot_be_is_told_in_a_sentence(api, robin, key, committed, said):
    response = _start(api, key, committed)
    assert response.status_code == 400
    error = error_of(response)
    assert said in error["message"]
    assert error["hint"]
    assert not Job.objects.exists()
