"""Jobs as a worker runs them, against suspects that behave and suspects that do not."""

import json
import re
import time
import uuid
from pathlib import Path

import numpy as np
import pytest

import tasks
from accounts.actors import Actor
from jobs.models import Job, SealedSecret
from jobs.services import job_create
from protection.services import key_lock_create
from registry import storage
from registry.services import commitment_create
from spellmark.evidence import transcript
from spellmark.training import weights
from spellmark.training.inference import predict_probabilities
from tasks import work
from tests import factories
from tests.spellmark.suspects.local_servers import Answer, reply
from verification import services
from verification.models import Run

CLASSES = factories.CARD.classes


@pytest.fixture(autouse=True)
def one_connection(settings, monkeypatch):
    """The heartbeat has a connection of its own, which cannot see into a test's transaction."""
    settings.JOB_LEASE_SECONDS = 3600
    monkeypatch.setattr(work, "BEAT_SECONDS", 3600)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)


@pytest.fixture(autouse=True)
def small_data(tmp_path: Path, monkeypatch) -> None:
    generator = np.random.default_rng(0)
    arrays = {}
    for split, count in (("train", 120), ("test", 40)):
        arrays[f"{split}_images"] = generator.integers(0, 256, (count, 8, 8), np.uint8)
        arrays[f"{split}_labels"] = np.arange(count) % CLASSES
    np.savez(tmp_path / "fashion-mnist.npz", **arrays)
    monkeypatch.setenv("SPELLMARK_DATA", str(tmp_path))


def _run_against(actor: Actor, url: str) -> Run:
    suspect = services.suspect_endpoint_create(
        actor=actor, name="suspect", config={"url": url, "model": "m", "classes": CLASSES}
    )
    run = factories.queued_run(actor, suspect=suspect)
    tasks.run_job(str(run.job_id))
    run.refresh_from_db()
    return run


def _outputs(data: list[float], shape: list[int]) -> bytes:
    output = {"name": "out", "shape": shape, "datatype": "FP32", "data": data}
    return json.dumps({"model_name": "m", "outputs": [output]}).encode()


def _hang(handler: object) -> None:
    handler.connection.settimeout(5)
    handler.connection.recv(1)


BAD: dict[str, tuple[Answer, str]] = {
    "500": (reply(500, b"traceback"), "HTTP status 500"),
    "nonsense": (reply(200, b"<html>hello</html>"), "cannot be read"),
    "not json for us": (reply(200, b'{"answer": 42}'), "outputs"),
    "NaN": (reply(200, _outputs([float("nan")] * 1000, [100, 10])), "NaN|finite|number"),
    "too few classes": (reply(200, _outputs([0.5] * 200, [100, 2])), r"\[100, 2\]"),
    "too few answers": (reply(200, _outputs([0.1] * 50, [5, 10])), r"\[5, 10\]"),
    "redirect": (reply(302, b"", Location="http://10.0.0.1/"), "302"),
    "silence": (_hang, "in time|time|seconds"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_suspect_ends_inconclusive_with_a_clear_error(
    name: str, alice_actor: Actor, serve, settings
):
    settings.EGRESS_TIMEOUT_SECONDS = 0.3
    answer, told = BAD[name]
    server = serve(answer)
    run = _run_against(alice_actor, server.url)
    assert run.verdict == "inconclusive"
    assert run.certificate_id is None
    assert run.job.state == Job.State.FAILED
    assert run.job.error == run.reason
    assert run.job.hint
    assert re.search(told, run.reason), run.reason
    # One request and three more that were allowed to fail; none was repeated.
    assert len(server.received) == len({r.body for r in server.received}) == 4
    header, exchanges = transcript.read(storage.get(run.transcript_sha256))
    assert [exchange.state for exchange in exchanges] == ["failed"] * 4
    assert header["rule"] == run.rule
    assert not SealedSecret.objects.exists()


def test_a_worker_that_lost_its_job_asks_nothing_more(alice_actor: Actor, serve, monkeypatch):
    """It was taken for dead and another worker has the job; then it wakes up."""
    conclude = services.exchange_conclude

    def conclude_late(**arguments) -> None:
        conclude(**arguments)
        if len(server.received) == 2:
            Job.objects.update(lease=uuid.uuid4())

    monkeypatch.setattr(services, "exchange_conclude", conclude_late)
    server = serve(reply(200, _outputs([0.1] * 1000, [100, CLASSES])))
    run = _run_against(alice_actor, server.url)
    assert len(server.received) == run.exchanges.count() == 2
    assert run.verdict == ""
    assert run.job.state == Job.State.RUNNING


def test_a_suspect_that_nobody_serves_is_unreachable(alice_actor: Actor):
    run = _run_against(alice_actor, "http://127.0.0.1:9")
    assert run.verdict == "inconclusive"
    assert run.job.state == Job.State.FAILED
    assert "127.0.0.1" in run.reason


def test_a_suspect_that_says_the_same_always_is_inconclusive(alice_actor: Actor, serve):
    same = [1.0, *[0.0] * (CLASSES - 1)] * 100
    run = _run_against(alice_actor, serve(reply(200, _outputs(same, [100, CLASSES]))).url)
    assert run.verdict == "inconclusive"
    assert "same answer" in run.reason
    assert run.job.state == Job.State.SUCCEEDED


def test_an_innocent_endpoint_is_no_match_and_gets_a_certificate(
    alice_actor: Actor, serve, tmp_path: Path
):
    path = tmp_path / "innocent.safetensors"
    path.write_bytes(factories.model_file())
    model, card = weights.load(path)

    def answer(handler) -> None:
        told = json.loads(server.received[-1].body)["inputs"][0]
        images = np.asarray(told["data"], np.uint8).reshape(told["shape"])
        found = predict_probabilities(model, card, images)
        reply(200, _outputs(found.ravel().tolist(), list(found.shape)))(handler)

    server = serve(answer)
    run = _run_against(alice_actor, server.url)
    assert run.job.state == Job.State.SUCCEEDED, run.job.error
    assert run.verdict in ("no match", "inconclusive")
    assert run.access_level == "probabilities"
    assert run.certificate_id is not None
    assert run.answered_probes == run.rule["probes"] == len(server.received)


def test_a_suspect_file_is_asked_on_this_machine(alice_actor: Actor):
    suspect = services.suspect_file_create(
        actor=alice_actor, name="found.safetensors", chunks=[factories.model_file()]
    )
    run = factories.queued_run(alice_actor, suspect=suspect)
    tasks.run_job(str(run.job_id))
    run.refresh_from_db()
    assert run.job.state == Job.State.SUCCEEDED, run.job.error
    assert run.verdict in ("no match", "inconclusive")


def test_a_data_set_that_does_not_fit_fails_the_lock_clearly(alice_actor: Actor, tmp_path: Path):
    commitment = commitment_create(
        actor=alice_actor,
        version=factories.published_version(alice_actor),
        digest=factories.KEY.commitment(),
        scheme=factories.KEY.scheme,
        parameters=factories.KEY.parameters,
    )
    for dataset, told in (("nothing", "no data set named"), ("large", "images of")):
        large = np.zeros((20, 16, 16), np.uint8)
        np.savez(
            tmp_path / "large.npz",
            train_images=large, train_labels=np.arange(20) % 10,
            test_images=large, test_labels=np.arange(20) % 10,
        )  # fmt: skip
        protection = key_lock_create(
            actor=alice_actor, commitment=commitment, key=factories.KEY, dataset=dataset
        )
        tasks.run_job(str(protection.job_id))
        protection.refresh_from_db()
        assert protection.job.state == Job.State.FAILED
        assert told in protection.job.error
        assert protection.result is None


def test_an_error_of_ours_is_logged_and_told_without_its_text(
    alice_actor: Actor, monkeypatch, caplog
):
    def broken(held: work.Work) -> None:
        raise RuntimeError("internal detail")

    monkeypatch.setitem(tasks.run_job.run.__globals__["HANDLERS"], "broken", broken)
    job = job_create(
        organisation_id=alice_actor.organisation.id,
        kind="broken",
        title="breaks",
        queue="gpu",
        payload={},
        created_by="alice",
        secret={"key": "hush"},
    )
    tasks.run_job(str(job.id))
    job.refresh_from_db()
    assert job.state == Job.State.FAILED
    assert "internal detail" not in job.error + job.hint
    assert str(job.id) in caplog.text
    assert "hush" not in caplog.text
    assert not SealedSecret.objects.exists()


def test_a_message_that_comes_twice_does_nothing(alice_actor: Actor):
    run = factories.finished_run(alice_actor)
    before = run.exchanges.count()
    tasks.run_job(str(run.job_id))
    assert run.exchanges.count() == before
