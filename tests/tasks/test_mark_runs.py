"""Runs against a guard's mark as a worker makes them, on copies that were really trained."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

import tasks
from jobs.models import Job, SealedSecret
from ledger.selectors import trust
from ledger.services import ledger_sequence
from protection.guards import client_add, opened_guard
from spellmark.certificates.verify import verify_files
from spellmark.evidence.transcript import read
from spellmark.training import datasets
from spellmark.training.architectures import build
from spellmark.training.datasets import Split
from spellmark.training.fit import Recipe, fit
from spellmark.training.inference import predict_probabilities
from spellmark.watermarks.dynamic import Guard
from tasks import mark_run
from tests.tasks.test_guard_jobs import measured
from tests.tasks.test_verification_jobs import (
    CARD,
    blots,
    innocent,
    one_connection,
    one_thread,
    suspect_of,
)
from verification import services
from verification.models import Exchange
from verification.selectors import run_bundle

__all__ = ["blots", "one_connection", "one_thread"]

pytestmark = pytest.mark.slow


@pytest.fixture
def guard_and_key(alice_actor, tmp_path):
    guard, key = measured(alice_actor, tmp_path, strength=100)
    ledger_sequence()
    return guard, key


def answers_of(guard, key, client=""):
    """What the guarded API says about the training images."""
    images = datasets.load("blots").train.images
    drawn = guard.clients.get(name=client).binding if client else ""
    mark = Guard(opened_guard(guard, key, client=client, client_binding=drawn))
    return mark(predict_probabilities(innocent(), CARD, images), images)


def copy_of(answers):
    """A network trained on nothing but an API's answers."""
    images = datasets.load("blots").train.images
    targets = torch.from_numpy(answers).float()
    torch.manual_seed(7)
    return fit(
        build(CARD), CARD, Split(images, np.arange(len(images))), Recipe(epochs=10),
        make_batch=lambda part, places, _: (part, targets[places]),
    )  # fmt: skip


def ran(actor, guard, key, suspect, **choices):
    run = services.run_create(actor=actor, suspect=suspect, protection=guard, key=key, **choices)
    tasks.run_job(str(run.job_id))
    run.refresh_from_db()
    assert run.job.state == Job.State.SUCCEEDED, run.job.error
    assert not SealedSecret.objects.exists()
    ledger_sequence()
    report = verify_files(run_bundle(run), trust())
    assert report.passed, report.checks
    assert {check.name: check.passed for check in report.checks}["statistic"]
    return run


def test_a_copy_is_told_from_an_innocent_and_from_the_model_itself(
    alice_actor, guard_and_key, tmp_path
):
    guard, key = guard_and_key
    copy = suspect_of(alice_actor, copy_of(answers_of(guard, key)), tmp_path)
    run = ran(alice_actor, guard, key, copy)
    assert (run.method, run.verdict, run.evidence_class) == (
        "dynamic-watermark", "match", "verified",
    )  # fmt: skip
    assert run.p_value <= run.rule["alpha"] == 1e-6
    assert run.exchanges.count() == run.answered_probes == len(run.growth) < 64
    assert run.access_level == "probabilities"
    header, exchanges = read(run_bundle(run).transcript)
    assert {len(exchange.probabilities) for exchange in exchanges} == {CARD.classes}
    assert header["signs"].keys() == {""}
    assert key.secret.hex() not in str(header)

    torch.manual_seed(3)
    other = fit(build(CARD), CARD, datasets.load("blots").train, Recipe(epochs=3, seed=5))
    run = ran(alice_actor, guard, key, suspect_of(alice_actor, other, tmp_path))
    assert run.verdict == "no match"
    # All the test images that there are.
    assert run.exchanges.count() == run.answered_probes == len(run.growth) == 200


def test_the_client_who_leaked_is_named(alice_actor, guard_and_key, tmp_path):
    guard, key = guard_and_key
    for name in ("acme", "bolt", "cogs"):
        client_add(actor=alice_actor, guard=guard, name=name, key=key)
    ledger_sequence()
    copy = suspect_of(alice_actor, copy_of(answers_of(guard, key, "bolt")), tmp_path)
    run = ran(alice_actor, guard, key, copy)
    assert (run.verdict, run.client, run.rule["clients"]) == ("match", "bolt", 4)
    assert "bolt" in run.reason
    header, _ = read(run_bundle(run).transcript)
    assert header["signs"].keys() == {"bolt"}


def test_without_a_match_no_client_is_named_nor_told_of(alice_actor, guard_and_key, tmp_path):
    guard, key = guard_and_key
    for name in ("acme", "bolt", "cogs"):
        client_add(actor=alice_actor, guard=guard, name=name, key=key)
    ledger_sequence()
    torch.manual_seed(4)
    other = fit(build(CARD), CARD, datasets.load("blots").train, Recipe(epochs=3, seed=6))
    run = ran(alice_actor, guard, key, suspect_of(alice_actor, other, tmp_path))
    assert (run.verdict, run.client) == ("no match", "")
    header, _ = read(run_bundle(run).transcript)
    assert header["signs"].keys() == {""}


def test_the_evidence_so_far_is_kept_once_a_second(
    alice_actor, guard_and_key, tmp_path, monkeypatch
):
    guard, key = guard_and_key
    copy, told, seconds = innocent(), [], iter(range(1000))
    monkeypatch.setattr(
        services, "run_grow", lambda *, run, growth: told.append((run.verdict, len(growth)))
    )
    # A third of a second an answer.
    clock = SimpleNamespace(monotonic=lambda: 100 + next(seconds) / 3)
    monkeypatch.setattr(mark_run, "time", clock)
    run = ran(alice_actor, guard, key, suspect_of(alice_actor, copy, tmp_path), probes=10)
    assert told == [("", 1), ("", 4), ("", 7), ("", 10)]
    assert len(run.growth) == 10


def test_a_lost_worker_asks_nothing_twice(alice_actor, guard_and_key, tmp_path, monkeypatch):
    """The answers that are on record count; the one that was on its way is given up."""
    guard, key = guard_and_key
    copy = suspect_of(alice_actor, copy_of(answers_of(guard, key)), tmp_path)
    run = services.run_create(actor=alice_actor, suspect=copy, protection=guard, key=key)

    def lose(**kwargs):
        if Exchange.objects.filter(run=run, state="answered").count() == 3:
            raise KeyboardInterrupt
        return conclude(**kwargs)

    conclude = services.exchange_conclude
    monkeypatch.setattr(services, "exchange_conclude", lose)
    with pytest.raises(KeyboardInterrupt):
        tasks.run_job(str(run.job_id))
    monkeypatch.setattr(services, "exchange_conclude", conclude)
    Job.objects.filter(id=run.job_id).update(state="queued", lease=None)
    tasks.run_job(str(run.job_id))
    run.refresh_from_db()
    assert run.verdict == "match"
    states = list(run.exchanges.values_list("state", flat=True))
    assert states[:4] == ["answered"] * 3 + ["lost"]
    assert set(states[4:]) == {"answered"}
    assert run.answered_probes == len(states) - 1
    ledger_sequence()
    assert verify_files(run_bundle(run), trust()).passed


def test_an_altered_answer_is_found(alice_actor, guard_and_key, tmp_path):
    guard, key = guard_and_key
    copy = suspect_of(alice_actor, copy_of(answers_of(guard, key)), tmp_path)
    bundle = run_bundle(ran(alice_actor, guard, key, copy))
    assert bundle.transcript is not None
    turned = bundle.transcript.replace(b"+-", b"-+", 1)
    assert turned != bundle.transcript
    report = verify_files(type(bundle)(**{**vars(bundle), "transcript": turned}), trust())
    assert not report.passed


@pytest.mark.parametrize(("choices", "told"), [
    ({"method": "keyed-labels"}, "do not belong together"),
    ({"probes": 50, "query_cap": 40}, "more than the cap"),
    ({"alpha": 0.5}, "false-positive"),
])  # fmt: skip
def test_rules_that_do_not_suit_a_guard_are_refused(guard_and_key, choices, told):
    from spellmark.errors import SpellmarkError

    with pytest.raises(SpellmarkError, match=told):
        services.rule_for(guard_and_key[0], **choices)
