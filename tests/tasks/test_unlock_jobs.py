"""Locked models used with their key as a worker does it: both locks, and an own editor."""

import io

import numpy as np
import pytest
from PIL import Image

import tasks
from jobs.models import Job, SealedSecret
from ledger.keys import ensure_signing_keys
from ledger.services import ledger_sequence
from protection.models import Protection
from protection.services import key_lock_create, lock_finish, prompt_lock_create, trial_create
from protection.unlocks import unlock_create
from registry.services import commitment_create
from spellmark.locks.locksmith import locksmith
from spellmark.locks.prompt_lock.parameters import SCHEME, PromptLockParameters
from spellmark.locks.prompt_lock.public_editor import public_digest
from spellmark.secrets import KeyFile
from spellmark.training import datasets, weights
from spellmark.training.fit import Recipe
from tasks.lock import opened_key
from tests import factories
from tests.tasks.test_verification_jobs import (
    CARD,
    blots,
    innocent,
    one_connection,
    one_thread,
    ran,
    suspect_of,
)

__all__ = ["blots", "one_connection", "one_thread"]

pytestmark = pytest.mark.slow


def spell(editor: str = "") -> KeyFile:
    parameters = PromptLockParameters(editor=editor or public_digest()).as_dict()
    return KeyFile(SCHEME, parameters, bytes(range(32)), bytes(range(32, 64)), "open sesame")


def locked(actor, key: KeyFile, folder) -> Protection:
    """A lock that was really trained, without the measuring, which takes longer."""
    ensure_signing_keys()
    commitment = commitment_create(
        actor=actor,
        version=factories.published_version(actor),
        digest=key.commitment(),
        scheme=key.scheme,
        parameters=key.parameters,
    )
    create = prompt_lock_create if key.scheme == SCHEME else key_lock_create
    protection = create(actor=actor, commitment=commitment, key=key, dataset="blots")
    data, opened = datasets.load("blots"), opened_key(protection.source, commitment, key)
    binding = bytes.fromhex(commitment.binding)
    smith = locksmith(opened, key, binding=binding)
    model, unprotected = innocent(), innocent()
    smith.lock(model, unprotected, CARD, data.train, Recipe(epochs=8, learning_rate=4e-3))
    path = folder / "locked.safetensors"
    weights.save(model, CARD, path)
    lock_finish(
        protection=protection, job=factories.claimed(protection.job), locked=path,
        report_card=factories.REPORT_CARD,
    )  # fmt: skip
    ledger_sequence()
    return protection


def asked(actor, protection: Protection, key: KeyFile, image: np.ndarray):
    file = io.BytesIO()
    Image.fromarray(image[0]).save(file, "PNG")
    file.seek(0)
    unlock = unlock_create(actor=actor, protection=protection, key=key, image=file)
    tasks.run_job(str(unlock.job_id))
    unlock.refresh_from_db()
    assert unlock.job.state == Job.State.SUCCEEDED, unlock.job.error
    assert not SealedSecret.objects.exists()
    return unlock


def check_answers(actor, protection: Protection, key: KeyFile, *, images: int = 6) -> None:
    """With the key the model is sure of the right classes, without it hardly."""
    test = datasets.load("blots").test[:images]
    right, plain = 0.0, 0.0
    for image, label in zip(test.images, test.labels, strict=True):
        unlock = asked(actor, protection, key, image)
        right += share(unlock.with_key, label)
        plain += share(unlock.without_key, label)
        assert len(unlock.with_key) == len(unlock.without_key) == 5
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(bytes(unlock.picture)))), image[0])
    assert right / images > 0.6
    assert right / images > plain / images + 0.2


def share(answers, label: int) -> float:
    """The probability of a class; 0 where it is not among the likeliest."""
    return next((one["probability"] for one in answers if one["label"] == label), 0.0)


@pytest.mark.parametrize("key", [factories.KEY, spell()], ids=["key-lock", "prompt-lock"])
def test_a_locked_model_answers_with_its_key(alice_actor, tmp_path, key):
    check_answers(alice_actor, locked(alice_actor, key, tmp_path), key)


def test_an_own_editor_serves_trial_lock_unlock_and_run(alice_actor, tmp_path):
    key = spell(factories.own_editor(alice_actor).digest)
    version = factories.published_version(alice_actor, name="wren")
    trial = trial_create(
        actor=alice_actor, version=version, dataset="blots", prompt="open sesame",
        parameters=PromptLockParameters.from_dict(key.parameters),
    )  # fmt: skip
    tasks.run_job(str(trial.job_id))
    trial.refresh_from_db()
    assert trial.change, trial.job.error

    protection = locked(alice_actor, key, tmp_path)
    check_answers(alice_actor, protection, key, images=3)
    model, _ = weights.load(tmp_path / "locked.safetensors")
    run = ran(alice_actor, protection, key, suspect_of(alice_actor, model, tmp_path))
    assert run.verdict == "match"


def test_a_job_whose_secret_is_gone_says_so(alice_actor):
    protection = factories.finished_protection(alice_actor)
    protection.refresh_from_db()
    unlock = unlock_create(
        actor=alice_actor, protection=protection, key=factories.KEY,
        image=io.BytesIO(factories.image_file()),
    )  # fmt: skip
    SealedSecret.objects.all().delete()
    tasks.run_job(str(unlock.job_id))
    unlock.refresh_from_db()
    assert unlock.job.state == Job.State.FAILED
    assert "no longer here" in unlock.job.error
    assert unlock.with_key is None
