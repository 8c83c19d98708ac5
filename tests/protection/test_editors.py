import hashlib

import pytest

from accounts.actors import ForbiddenError
from jobs.models import Job, SealedSecret
from protection.editors import (
    EDITOR_JOB,
    editor_finish,
    editor_path,
    editor_train,
    editor_upload,
    other_editors,
)
from protection.errors import ProtectionError
from protection.models import Editor, Protection
from protection.selectors import editor_list
from protection.services import prompt_lock_create, trial_create
from registry import storage
from registry.services import commitment_create
from spellmark.locks.prompt_lock.parameters import SCHEME, PromptLockError, PromptLockParameters
from spellmark.locks.prompt_lock.public_editor import PUBLIC, public_digest
from spellmark.model_files.errors import ModelFileError
from spellmark.secrets import KeyFile
from tests import factories

FILE = factories.editor_file()
KEY = KeyFile("tiny-editor/v1", {}, bytes(range(32)), bytes(range(32, 64)))


def training(actor, **changes) -> Editor:
    wanted = {"name": "ours", "key": KEY, "dataset": "fashion-mnist", "steps": 20} | changes
    return editor_train(actor=actor, **wanted)


def test_an_uploaded_editor_is_kept_under_its_digest(bob_actor):
    editor = editor_upload(actor=bob_actor, name="mine", chunks=[FILE], expected_size=len(FILE))
    assert editor.digest == hashlib.sha256(FILE).hexdigest()
    assert editor.job is None
    path = editor_path(bob_actor.organisation.id, editor.digest)
    assert path.read_bytes() == FILE
    assert editor_path(bob_actor.organisation.id, public_digest()) == PUBLIC


def test_an_editor_is_its_organisations_alone(alice_actor, charlie_actor):
    editor = factories.own_editor(alice_actor)
    with pytest.raises(ProtectionError, match="is not known here"):
        editor_path(charlie_actor.organisation.id, editor.digest)
    assert not editor_list(actor=charlie_actor).exists()
    version = factories.published_version(charlie_actor)
    parameters = PromptLockParameters(editor=editor.digest)
    with pytest.raises(ProtectionError, match="is not known here"):
        trial_create(
            actor=charlie_actor, version=version, parameters=parameters, prompt="x", dataset="x"
        )
    # Who has the file can bring it: it is kept once, and known to both.
    theirs = factories.own_editor(charlie_actor)
    assert theirs.digest == editor.digest
    assert editor_path(charlie_actor.organisation.id, editor.digest).read_bytes() == FILE


def test_other_editors_are_the_public_one_and_the_organisations_own(alice_actor, charlie_actor):
    own = factories.own_editor(alice_actor)
    training(alice_actor)  # has no file yet
    for actor, digest, others in (
        (alice_actor, public_digest(), [own.digest]),
        (alice_actor, own.digest, [public_digest()]),
        (charlie_actor, public_digest(), []),
        (charlie_actor, "0" * 64, [public_digest()]),
    ):
        assert other_editors(actor.organisation.id, digest) == others


@pytest.mark.parametrize(
    ("data", "error", "told"),
    [
        (PUBLIC.read_bytes(), ProtectionError, "comes with Spellmark"),
        (factories.model_file(), PromptLockError, "is no editor of Spellmark"),
        (FILE[:-1], ModelFileError, "cut short"),
        (b"\x80\x04pickle", ModelFileError, "pickle"),
    ],
)
def test_other_files_are_refused_and_not_kept(alice_actor, data, error, told):
    with pytest.raises(error, match=told):
        editor_upload(actor=alice_actor, name="mine", chunks=[data])
    assert not Editor.objects.exists()
    with pytest.raises(storage.StorageError):
        storage.path_of(hashlib.sha256(data).hexdigest())


def test_the_same_editor_is_taken_once(alice_actor):
    factories.own_editor(alice_actor)
    with pytest.raises(ProtectionError, match="has this very editor already"):
        factories.own_editor(alice_actor, name="again")


def test_a_name_is_needed(alice_actor):
    with pytest.raises(ProtectionError, match="name"):
        training(alice_actor, name="")
    with pytest.raises(ProtectionError, match="name"):
        editor_upload(actor=alice_actor, name="a" * 101, chunks=[FILE])
    assert not Job.objects.exists()


@pytest.mark.parametrize("steps", [0, 19, 20_001])
def test_steps_out_of_bounds_are_refused(alice_actor, steps):
    with pytest.raises(ProtectionError, match="trained in 20 to 20,000 steps"):
        training(alice_actor, steps=steps)


def test_a_training_waits_for_a_worker_and_its_key_is_sealed(alice_actor):
    editor = training(alice_actor)
    assert (editor.job.kind, editor.job.queue, editor.digest) == (EDITOR_JOB, "gpu", "")
    assert editor.settings == {
        "dataset": "fashion-mnist", "steps": 20, "commitment": KEY.commitment(),
    }  # fmt: skip
    rows = str([*Editor.objects.values(), *Job.objects.values()])
    assert KEY.secret.hex() not in rows
    assert KEY.secret not in bytes(SealedSecret.objects.get().ciphertext)


def test_a_finished_training_leaves_an_editor(alice_actor, tmp_path):
    editor = training(alice_actor)
    file = tmp_path / "editor.safetensors"
    file.write_bytes(FILE)
    editor_finish(editor=editor, job=factories.claimed(editor.job), file=file)
    editor.refresh_from_db()
    assert editor.job.state == Job.State.SUCCEEDED
    assert editor_path(alice_actor.organisation.id, editor.digest).read_bytes() == FILE
    assert not SealedSecret.objects.exists()
    again = training(alice_actor)
    with pytest.raises(ProtectionError, match="The same key, photos and steps"):
        editor_finish(editor=again, job=factories.claimed(again.job), file=file)
    again.refresh_from_db()
    assert (again.digest, again.job.state) == ("", Job.State.RUNNING)


def test_a_lock_can_be_made_with_an_own_editor(alice_actor):
    parameters = PromptLockParameters(editor=factories.own_editor(alice_actor).digest)
    key = KeyFile(SCHEME, parameters.as_dict(), bytes(32), bytes(32), "open sesame")
    commitment = commitment_create(
        actor=alice_actor,
        version=factories.published_version(alice_actor),
        digest=key.commitment(),
        scheme=key.scheme,
        parameters=key.parameters,
    )
    prompt_lock_create(actor=alice_actor, commitment=commitment, key=key, dataset="fashion-mnist")
    assert Protection.objects.get().commitment.parameters["editor"] == parameters.editor


def test_viewers_make_no_editors(alice_actor):
    viewer = type(alice_actor)(alice_actor.organisation, "victor", frozenset({"read"}))
    with pytest.raises(ForbiddenError):
        training(viewer)
    with pytest.raises(ForbiddenError):
        factories.own_editor(viewer)
