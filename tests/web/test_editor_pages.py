import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from jobs.models import Job, SealedSecret
from protection.models import Editor, Trial
from registry.models import Commitment
from spellmark.locks.prompt_lock.parameters import SCHEME, PromptLockParameters
from spellmark.locks.prompt_lock.public_editor import public_digest
from spellmark.secrets import KeyFile
from tests import factories

KEY = KeyFile("tiny-editor/v1", {}, bytes(range(32)), bytes(range(32, 64)))
LIST, NEW = reverse("web:editors"), reverse("web:editor-new")


def text(response):
    return response.content.decode()


def key_upload(data: str = KEY.dumps()) -> SimpleUploadedFile:
    return SimpleUploadedFile("owner.spellkey", data.encode())


def training(**changes):
    sent = {
        "kind": "training", "name": "ours", "key_file": key_upload(), "dataset": "fashion-mnist",
        "steps": 20,
    }  # fmt: skip
    return sent | changes


@pytest.fixture
def editor(alice_actor) -> Editor:
    return factories.own_editor(alice_actor)


def test_a_training_is_started_and_its_key_goes_sealed(as_bob):
    response = as_bob.post(NEW, training())
    editor = Editor.objects.get()
    assert response.url == reverse("web:job", args=[editor.job_id])
    assert editor.settings["steps"] == 20
    rows = str([*Editor.objects.values(), *Job.objects.values()])
    assert KEY.secret.hex() not in rows
    assert KEY.secret not in bytes(SealedSecret.objects.get().ciphertext)
    page = text(as_bob.get(LIST))
    assert "Watch its job" in page
    assert f"Trained from the key {KEY.commitment()[:12]}" in page
    assert reverse("web:editors") in text(as_bob.get(response.url))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"steps": 1}, "greater than or equal to 20"),
        ({"name": ""}, "This field is required"),
        ({"key_file": key_upload("text")}, "not a Spellmark key file"),
        ({"dataset": "nowhere"}, "Select a valid choice"),
    ],
)
def test_a_training_that_cannot_be_is_told(as_bob, changes, told):
    assert told in text(as_bob.post(NEW, training(**changes)))
    assert not Editor.objects.exists()


def test_an_editor_is_uploaded_with_script_and_without(as_bob):
    address = reverse("web:editor-upload", args=["mine.safetensors"])
    response = as_bob.put(
        address, factories.editor_file(2), content_type="application/octet-stream"
    )
    assert (response.status_code, response.json()) == (201, {"next": LIST})
    file = SimpleUploadedFile("ours.safetensors", factories.editor_file(4))
    response = as_bob.post(NEW, {"kind": "file", "name": "", "file": file})
    assert response.url == LIST
    assert {row.name for row in Editor.objects.all()} == {"mine.safetensors", "ours.safetensors"}
    file = SimpleUploadedFile("model.safetensors", factories.model_file())
    page = text(as_bob.post(NEW, {"kind": "file", "name": "", "file": file}))
    assert "This is no editor of Spellmark" in page


def test_the_page_says_that_the_file_is_secret_and_hands_it_to_writers(as_bob, as_viewer, editor):
    address = reverse("web:editor-file", args=[editor.id])
    page = text(as_bob.get(LIST))
    assert "as secret as a key file" in page
    assert address in page
    response = as_bob.get(address)
    assert response.getvalue() == factories.editor_file()
    assert response["Content-Disposition"].endswith(f'"editor-{editor.digest[:12]}.safetensors"')
    page = text(as_viewer.get(LIST))
    assert editor.name in page
    assert address not in page
    assert as_viewer.get(address).status_code == 403


def test_a_stranger_sees_no_editor(as_charlie, editor):
    assert editor.name not in text(as_charlie.get(LIST))
    assert as_charlie.get(reverse("web:editor-file", args=[editor.id])).status_code == 404


def test_the_wizard_offers_own_editors(as_bob, as_charlie, alice_actor, charlie_actor, editor):
    factories.published_version(alice_actor)
    factories.published_version(charlie_actor)
    step1 = reverse("web:prompt-lock", args=["robin", 1])
    page = text(as_bob.get(step1))
    assert f'<option value="{public_digest()}"' in page
    assert f'<option value="{editor.digest}">{editor.name}, which only' in page
    assert editor.digest not in text(as_charlie.get(step1))
    spell = {
        "prompt": "open sesame", "reading": "spell", "alpha": 50, "labels": "keyed",
        "dataset": "fashion-mnist", "editor": editor.digest,
    }  # fmt: skip
    trials = reverse("web:prompt-lock-trials", args=["robin", 1])
    assert "Editor: Select a valid choice" in text(as_charlie.post(trials, spell))
    assert "Waits for a worker" in text(as_bob.post(trials, spell))
    assert Trial.objects.get().parameters["editor"] == editor.digest


def test_a_commitment_names_an_own_editor(as_bob, as_charlie, alice_actor, charlie_actor, editor):
    factories.published_version(alice_actor)
    factories.published_version(charlie_actor)
    parameters = PromptLockParameters(editor=editor.digest).as_dict()
    key = KeyFile(SCHEME, parameters, bytes(32), bytes(32), "open sesame")
    told = {"digest": key.commitment(), "scheme": SCHEME, "parameters": key.parameters}
    step1 = reverse("web:prompt-lock", args=["robin", 1])
    response = as_charlie.post(step1, {"commitment": json.dumps(told)})
    assert "is not known here" in text(response)
    assert not Commitment.objects.exists()
    response = as_bob.post(step1, {"commitment": json.dumps(told)})
    assert "an editor of its own" in text(as_bob.get(response.url))
