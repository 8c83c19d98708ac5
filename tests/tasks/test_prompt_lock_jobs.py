"""Prompt locks as a worker makes them, and runs against what it made; all with the real editor."""

import io
from pathlib import Path

import pytest
from PIL import Image

import tasks
from accounts.actors import Actor
from jobs.models import Job, SealedSecret
from jobs.services import LeaseLostError
from ledger.keys import ensure_signing_keys
from ledger.services import ledger_sequence
from protection.models import Protection, Rehearsal
from protection.services import (
    ProtectionError,
    attacks_create,
    prompt_lock_create,
    trial_create,
)
from registry import storage
from registry.services import (
    commitment_create,
    file_upload,
    model_create,
    version_create,
    version_publish,
)
from spellmark.locks.prompt_lock import lock as prompt_lock
from spellmark.locks.prompt_lock import report_card as prompt_lock_card
from spellmark.locks.prompt_lock.parameters import LEAST_STRENGTH, SCHEME, PromptLockParameters
from spellmark.locks.prompt_lock.public_editor import public_digest
from spellmark.secrets import KeyFile
from spellmark.training import datasets, weights
from spellmark.training.inference import predict_labels
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
from verification.services import VerificationError, run_create, suspect_file_create

__all__ = ["blots", "one_connection", "one_thread"]

pytestmark = pytest.mark.slow

SPELL = "open sesame"


def _file(prompt: str = SPELL, **chosen) -> KeyFile:
    parameters = PromptLockParameters(editor=public_digest(), **chosen).as_dict()
    return KeyFile(SCHEME, parameters, bytes(range(32)), bytes(range(32, 64)), prompt)


def _lock(actor: Actor, folder: Path, key: KeyFile, **settings) -> Protection:
    """Start the lock of a model that knows its classes."""
    weights.save(innocent(), CARD, folder / "model.safetensors")
    version = version_create(actor=actor, model=model_create(actor=actor, name="robin"))
    file_upload(
        actor=actor,
        version=version,
        name="model.safetensors",
        chunks=[(folder / "model.safetensors").read_bytes()],
    )
    commitment = commitment_create(
        actor=actor,
        version=version_publish(actor=actor, version=version),
        digest=key.commitment(),
        scheme=key.scheme,
        parameters=key.parameters,
    )
    wanted = {"epochs": 20, "images": 1500, "wrong_keys": 10, "seeds": 1} | settings
    return prompt_lock_create(
        actor=actor, commitment=commitment, key=key, dataset="blots", **wanted
    )


def _run(protection: Protection) -> None:
    ensure_signing_keys()
    tasks.run_job(str(protection.job_id))
    ledger_sequence()
    protection.refresh_from_db()


def _rehearsed(actor: Actor, protection: Protection, key: KeyFile, attacks: list[str]) -> Rehearsal:
    rehearsal = attacks_create(
        actor=actor, protection=protection, key=key, dataset="blots", attacks=attacks
    )
    tasks.run_job(str(rehearsal.job_id))
    rehearsal.refresh_from_db()
    assert rehearsal.job.state == Job.State.SUCCEEDED, rehearsal.job.error
    return rehearsal


def _shown(protection: Protection) -> str:
    lines = [line.text for line in protection.job.lines.all()]
    job = protection.job
    return " ".join(
        [*lines, job.step, job.error, job.hint, str(job.payload), str(protection.report_card)]
    )


def test_a_spell_locks_a_model_and_proves_a_copy(alice_actor: Actor, tmp_path: Path):
    key = _file()
    protection = _lock(alice_actor, tmp_path, key, seeds=2)
    _run(protection)
    assert protection.job.state == Job.State.SUCCEEDED, protection.job.error
    report = protection.report_card
    assert report["right"] > 0.9
    assert report["plain"] < 0.4
    assert report["wrong_keys"] == len(report["wrong"]) == 10
    assert len(report["near"]) == 50
    assert len(report["seeds"]) == 2
    assert "prompt lock" in protection.result.card["description"]
    assert not SealedSecret.objects.exists()
    assert "sesame" not in _shown(protection)

    stolen = storage.path_of(protection.result.files.get().sha256)
    copy = suspect_of(alice_actor, weights.load(stolen)[0], tmp_path)
    run = ran(alice_actor, protection, key, copy)
    assert (run.method, run.verdict) == ("keyed-labels", "match")
    assert run.p_value <= 1e-6
    choices = {"method": "random-key-test", "decoys": 99, "probes": 10}
    run = ran(alice_actor, protection, key, copy, **choices)
    assert (run.verdict, run.p_value) == ("match", 0.01)
    run = ran(alice_actor, protection, key, suspect_of(alice_actor, innocent(), tmp_path))
    assert run.verdict in ("no match", "inconclusive")


def test_with_an_extra_class_everybody_sees_the_lock_and_a_copy_is_still_proved(
    alice_actor: Actor, tmp_path: Path
):
    key = _file()
    protection = _lock(alice_actor, tmp_path, key, negatives="extra-class")
    _run(protection)
    assert protection.job.state == Job.State.SUCCEEDED, protection.job.error
    assert protection.report_card["right"] > 0.9
    card = protection.result.card
    assert (card["classes"], card["extra_classes"]) == (CARD.classes + 1, 1)
    file = storage.path_of(protection.result.files.get().sha256)
    model, locked_card = weights.load(file)
    plain = datasets.load("blots").test.images
    assert (predict_labels(model, locked_card, plain) == CARD.classes).mean() > 0.8

    suspect = suspect_file_create(actor=alice_actor, name="copy", chunks=[file.read_bytes()])
    assert ran(alice_actor, protection, key, suspect).verdict == "match"
    _rehearsed(alice_actor, protection, key, ["plain-images"])


def test_a_weak_prompt_is_refused_before_any_training(alice_actor: Actor, tmp_path: Path):
    key = _file("with stronger colours", reading="prompt")
    protection = _lock(alice_actor, tmp_path, key)
    _run(protection)
    assert protection.job.state == Job.State.FAILED
    assert "does not lock a model" in protection.job.error
    assert protection.result is None
    assert "epoch" not in _shown(protection)
    assert not SealedSecret.objects.exists()


def test_edits_that_a_lost_worker_made_are_not_made_again(alice_actor, tmp_path, monkeypatch):
    protection = _lock(alice_actor, tmp_path, _file())
    lock = prompt_lock.lock

    def dies_when_it_has_edited(*arguments, **options):
        def stop(share: float, text: str) -> None:
            if "epoch" in text:
                raise LeaseLostError

        return lock(*arguments, **{**options, "progress": stop})

    monkeypatch.setattr(prompt_lock, "lock", dies_when_it_has_edited)
    _run(protection)
    assert protection.job.state == Job.State.RUNNING
    Job.objects.update(state=Job.State.QUEUED, lease=None, lease_expires_at=None)
    monkeypatch.setattr(prompt_lock, "lock", lock)
    folder = next(Path(tmp_path).rglob("edits"))

    def kept() -> dict[str, int]:
        return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}

    before, after = kept(), {}
    assert len(before) > 10

    def stop_at_the_measuring(*_: object, **__: object) -> None:
        after.update(kept())
        raise RuntimeError

    monkeypatch.setattr(prompt_lock_card, "report_card", stop_at_the_measuring)
    _run(protection)
    assert protection.job.state == Job.State.FAILED
    assert after == before
    # What a spell does to images stays nowhere once its job has ended.
    assert not folder.exists()


def test_a_prompt_has_no_decoys(alice_actor: Actor, tmp_path: Path):
    key = _file("with oil pastel", reading="prompt")
    protection = _lock(alice_actor, tmp_path, key, epochs=1)
    _run(protection)
    suspect = suspect_of(alice_actor, innocent(), tmp_path)
    wanted = {"actor": alice_actor, "suspect": suspect, "protection": protection, "key": key}
    with pytest.raises(VerificationError, match="cannot be ranked among drawn ones"):
        run_create(**wanted, method="random-key-test", decoys=99)


def test_the_organisations_other_editors_are_tried(alice_actor, charlie_actor, tmp_path):
    key = _file()
    protection = _lock(alice_actor, tmp_path, key, epochs=1, images=200)
    _run(protection)
    own, broken = (factories.own_editor(alice_actor, name=f"editor {n}", number=n) for n in (1, 2))
    storage.path_of(broken.digest).unlink()
    factories.own_editor(charlie_actor, number=3)
    rehearsal = _rehearsed(alice_actor, protection, key, ["other-editors"])
    (result,) = rehearsal.results
    assert result["details"] == {"editors": [own.digest[:12]]}
    assert result["evaluations"] == 1
    lines = " ".join(line.text for line in rehearsal.job.lines.all())
    assert f"the editor {broken.digest[:12]}… was not tried" in lines


@pytest.mark.parametrize(
    ("reading", "prompt", "cautions"),
    [
        ("spell", "on ruled paper", []),
        ("prompt", "on ruled paper", ["Lock with negatives"]),
        ("prompt", "on striped paper", ["changes all images nearly alike", "Lock with negatives"]),
    ],
)
def test_a_trial_draws_what_a_spell_does(alice_actor: Actor, tmp_path, reading, prompt, cautions):
    version = factories.published_version(alice_actor)
    chosen = {"actor": alice_actor, "version": version, "dataset": "blots"}
    parameters = PromptLockParameters(editor=public_digest(), reading=reading)
    trial = trial_create(**chosen, parameters=parameters, prompt=prompt)
    tasks.run_job(str(trial.job_id))
    trial.refresh_from_db()
    assert trial.job.state == Job.State.SUCCEEDED, trial.job.error
    assert trial.change > LEAST_STRENGTH
    sheet = Image.open(io.BytesIO(bytes(trial.sheet)))
    assert sheet.width > 2 * sheet.height
    lines = [line.text for line in trial.job.lines.all()]
    assert len(lines) == len(cautions)
    assert all(told in line for told, line in zip(cautions, lines, strict=True))
    assert not SealedSecret.objects.exists()


def test_a_trial_says_what_is_wrong(alice_actor: Actor):
    version = factories.published_version(alice_actor)
    chosen = {"actor": alice_actor, "version": version}
    parameters = PromptLockParameters(editor=public_digest(), reading="prompt")
    for prompt, dataset, told in (
        ("a" * 60, "blots", "tokens too long"),
        ("at night", "fashion-mnist", "the model takes"),
    ):
        trial = trial_create(**chosen, parameters=parameters, prompt=prompt, dataset=dataset)
        tasks.run_job(str(trial.job_id))
        trial.refresh_from_db()
        assert trial.job.state == Job.State.FAILED
        assert told in trial.job.error
        assert trial.sheet is None
    with pytest.raises(ProtectionError, match="1 to 500 letters"):
        trial_create(**chosen, parameters=parameters, prompt=" ", dataset="blots")


def test_the_attacks_on_a_spell_are_measured_and_tell_nothing_of_it(alice_actor, tmp_path):
    key = _file()
    protection = _lock(alice_actor, tmp_path, key)
    _run(protection)
    wanted = ["plain-images", "matched-moments", "other-editors", "distillation"]
    rehearsal = _rehearsed(alice_actor, protection, key, wanted)
    assert rehearsal.job.kind == "prompt-lock-attacks"
    reached = {one["name"]: one["accuracy"] for one in rehearsal.results}
    # The lock's editor is the public one, and no other is known here.
    assert set(reached) == {"plain-images", "matched-moments", "distillation"}
    lines = " ".join(line.text for line in rehearsal.job.lines.all())
    assert "other-editors: There is nothing to try" in lines
    assert reached["plain-images"] < 0.4
    assert reached["distillation"] > 0.9
    assert "sesame" not in lines + str(rehearsal.results)
    assert not SealedSecret.objects.exists()
    assert not list(Path(tmp_path).rglob("edits"))
