"""Trigger watermarks as a worker embeds and verifies them, on models that were really trained."""

import numpy as np
import pytest

import tasks
from jobs.models import Job, SealedSecret
from ledger.keys import ensure_signing_keys
from ledger.models import Certificate
from ledger.selectors import trust
from ledger.services import ledger_sequence
from protection.models import Protection
from protection.services import attacks_create
from protection.triggers import opened_trigger, trigger_create
from registry import storage
from registry.services import (
    commitment_create,
    file_upload,
    model_create,
    version_create,
    version_publish,
)
from spellmark.attacks.trigger.catalogue import BUDGETS, Budget
from spellmark.certificates.verify import verify_files
from spellmark.errors import SpellmarkError
from spellmark.evidence.transcript import read
from spellmark.training import datasets, weights
from spellmark.training.fit import Recipe, fit
from spellmark.training.inference import predict_labels
from tasks import pool_growth
from tests import factories
from tests.tasks.test_verification_jobs import (
    CARD,
    blots,
    innocent,
    one_connection,
    one_thread,
    suspect_of,
)
from verification import services
from verification.models import Exchange, Reference
from verification.references import pool_grow
from verification.selectors import run_bundle

__all__ = ["blots", "one_connection", "one_thread"]

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def no_heartbeat(monkeypatch) -> None:
    monkeypatch.setattr("tasks.work.BEAT_SECONDS", 3600)


def marked(actor, folder, *, epochs: int = 8, model=None, of_a_kind: int = 10, **choices: int):
    """A trigger watermark in an innocent model, or in this one, and its key file.

    of_a_kind: models of the null pool, which nobody has trained; they fit nothing.
    """
    ensure_signing_keys()
    path, key = folder / "model.safetensors", factories.trigger_key(**choices)
    weights.save(model or innocent(), CARD, path)
    version = version_create(actor=actor, model=model_create(actor=actor, name="robin"))
    file_upload(actor=actor, version=version, name=path.name, chunks=[path.read_bytes()])
    version = version_publish(actor=actor, version=version)
    if of_a_kind:
        factories.reference_pool(actor, version, dataset="blots", of_a_kind=of_a_kind)
    commitment = commitment_create(
        actor=actor, version=version, digest=key.commitment(), scheme=key.scheme,
        parameters=key.parameters,
    )  # fmt: skip
    row = trigger_create(
        actor=actor, commitment=commitment, key=key, dataset="blots", images=1500, epochs=epochs
    )
    tasks.run_job(str(row.job_id))
    row.refresh_from_db()
    assert not SealedSecret.objects.exists()
    ledger_sequence()
    return row, key


def result_of(row):
    return weights.load(storage.path_of(row.result.files.get().sha256))


def ran(actor, row, key, suspect, **choices):
    run = services.run_create(actor=actor, suspect=suspect, protection=row, key=key, **choices)
    tasks.run_job(str(run.job_id))
    run.refresh_from_db()
    assert run.job.state == Job.State.SUCCEEDED, run.job.error
    assert not SealedSecret.objects.exists()
    ledger_sequence()
    report = verify_files(run_bundle(run), trust())
    assert report.passed, report.checks
    assert {check.name: check.passed for check in report.checks}["statistic"]
    return run


def test_a_copy_is_told_from_innocents_and_each_run_opens_fresh_triggers(alice_actor, tmp_path):
    row, key = marked(alice_actor, tmp_path)
    assert row.job.state == Job.State.SUCCEEDED, row.job.error
    card = row.report_card
    assert card["recall"] >= 0.9 > 0.4 > card["unmarked_recall"]
    assert card["accuracy_after"] > card["accuracy_before"] - 0.05
    opened = opened_trigger(row, key)
    assert row.settings["root"] == opened.tree.root
    stated = bytes(Certificate.objects.get(id=row.registration_certificate_id).body)
    assert verify_registration(stated)["triggerRoot"] == opened.tree.root
    rows = str([*Protection.objects.values(), *row.job.lines.values(), *Job.objects.values()])
    assert key.secret.hex() not in rows

    thief = fit(
        result_of(row)[0], CARD, datasets.load("blots").train[:500],
        Recipe(epochs=3, learning_rate=1e-3, seed=4),
    )  # fmt: skip
    run = ran(alice_actor, row, key, suspect_of(alice_actor, thief, tmp_path))
    assert (run.method, run.verdict, run.evidence_class) == (
        "trigger-watermark", "match", "verified",
    )  # fmt: skip
    assert run.p_value <= run.rule["alpha"] == 1e-6
    assert run.exchanges.count() == run.answered_probes == len(run.growth) <= 32
    header, exchanges = read(run_bundle(run).transcript)
    asked = {exchange.image_index for exchange in exchanges}
    assert {int(leaf) for leaf in header["openings"]} == asked
    assert key.secret.hex() not in str(header)

    run = ran(alice_actor, row, key, suspect_of(alice_actor, innocent(), tmp_path))
    assert (run.verdict, run.rule["run"], set(run.rule["used"])) == ("no match", 2, asked)
    again = {exchange.image_index for exchange in read(run_bundle(run).transcript)[1]}
    assert len(again) == 32 and not again & asked

    constant = innocent()
    last = [part for part in constant.modules() if hasattr(part, "out_features")][-1]
    last.weight.data.zero_()
    last.bias.data[:] = 0
    last.bias.data[3] = 9
    assert set(np.unique(predict_labels(constant, CARD, opened.images))) == {3}
    run = ran(alice_actor, row, key, suspect_of(alice_actor, constant, tmp_path))
    assert (run.verdict, run.rule["run"]) == ("inconclusive", 3)


def test_the_null_pool_is_asked_the_same_and_one_that_passes_makes_it_void(
    alice_actor, tmp_path, monkeypatch
):
    row, key = marked(alice_actor, tmp_path, of_a_kind=0)
    copy, _ = result_of(row)
    suspect = suspect_of(alice_actor, copy, tmp_path)
    run = ran(alice_actor, row, key, suspect)
    assert (run.verdict, run.findings["models"]) == ("inconclusive", 0)
    assert run.p_value <= run.rule["alpha"]
    assert "the null pool has none for this task." in run.reason
    assert run.reason.endswith("Grow the pool, then start another run.")

    monkeypatch.setattr(pool_growth, "OTHERS", (("small-mlp", {"width": 64}),))
    job = pool_grow(
        actor=alice_actor, version=row.source, dataset="blots", images=500, of_a_kind=2, epochs=20
    )
    tasks.run_job(str(job.id))
    run = ran(alice_actor, row, key, suspect)
    assert (run.verdict, run.rule["models"], len(run.pool)) == ("inconclusive", 6, 6)
    assert "None of 6 innocent reference models passes." in run.reason
    factories.reference_pool(alice_actor, row.source, dataset="blots", of_a_kind=8)
    run = ran(alice_actor, row, key, suspect)
    assert (run.verdict, run.rule["models"], len(run.pool)) == ("match", 30, 30)
    assert (run.findings["passed"], run.findings["void"]) == (0, False)
    assert run.reason.endswith("None of 30 innocent reference models passes.")
    header, exchanges = read(run_bundle(run).transcript)
    assert {len(one["answers"]) for one in header["pool"]} == {len(exchanges)}
    report = verify_files(run_bundle(run), trust())
    assert report.statement.parameters["nullPool"] == run.findings

    # A copy among the references: as if a method fitted innocent models, too.
    thief = fit(copy, CARD, datasets.load("blots").train[:300], Recipe(epochs=1, seed=5))
    path = tmp_path / "reference.safetensors"
    weights.save(thief, CARD, path)
    learnt = Reference.objects.filter(job=job, number=0)
    learnt.update(sha256=storage.put(path.read_bytes()))
    run = ran(alice_actor, row, key, suspect)
    assert (run.verdict, run.findings["passed"]) == ("inconclusive", 1)
    assert run.p_value <= run.rule["alpha"]
    assert run.reason.startswith("Void: by the same triggers 1 of 30 innocent")

    # One that somebody brought is not asked: it may be a copy.
    learnt.update(source="uploaded", job=None)
    assert services.rule_for(row).models == 29


def test_who_registers_a_stolen_model_later_cannot_accuse_its_owner(
    alice_actor, charlie_actor, tmp_path
):
    hers, her_key = marked(alice_actor, tmp_path)
    stolen, _ = result_of(hers)
    his, his_key = marked(charlie_actor, tmp_path, model=stolen, number=10)
    assert his.job.state == Job.State.SUCCEEDED, his.job.error

    original = suspect_of(charlie_actor, result_of(hers)[0], tmp_path)
    claim = ran(charlie_actor, his, his_key, original)
    assert claim.verdict == "no match"
    copy = suspect_of(alice_actor, result_of(his)[0], tmp_path)
    answer = ran(alice_actor, hers, her_key, copy)
    assert answer.verdict == "match"
    assert answer.registration_index < claim.registration_index


def verify_registration(body):
    from spellmark.certificates import certificate, statements

    return statements.parse(certificate.loads(body).payload).parameters


def test_a_mark_that_did_not_take_is_refused(alice_actor, tmp_path):
    row, _ = marked(alice_actor, tmp_path, epochs=1, triggers=512)
    assert row.job.state == Job.State.FAILED
    assert "a claim asks for 90%" in row.job.error
    assert (row.result, row.report_card, row.certificate_id) == (None, None, None)


def test_a_cheat_with_other_triggers_or_an_unmarked_model_asks_nobody(alice_actor, tmp_path):
    row, key = marked(alice_actor, tmp_path)
    suspect = suspect_of(alice_actor, result_of(row)[0], tmp_path)
    true_root = row.settings["root"]
    row.settings["root"] = "0" * 64
    row.save()
    run = services.run_create(actor=alice_actor, suspect=suspect, protection=row, key=key)
    tasks.run_job(str(run.job_id))
    run.refresh_from_db()
    assert (run.verdict, run.exchanges.count()) == ("inconclusive", 0)
    assert "other triggers than those that were registered" in run.reason

    row.settings["root"] = true_root
    row.save()
    # A model that knows no trigger claims.
    row.result = row.source
    row.save()
    run = services.run_create(actor=alice_actor, suspect=suspect, protection=row, key=key)
    tasks.run_job(str(run.job_id))
    run.refresh_from_db()
    assert (run.verdict, run.exchanges.count()) == ("inconclusive", 0)
    assert "a claim asks for 90%" in run.reason


def test_a_lost_worker_asks_nothing_twice(alice_actor, tmp_path, monkeypatch):
    row, key = marked(alice_actor, tmp_path)
    suspect = suspect_of(alice_actor, result_of(row)[0], tmp_path)
    run = services.run_create(actor=alice_actor, suspect=suspect, protection=row, key=key)

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
    assert run.answered_probes == len(states) - 1
    ledger_sequence()
    assert verify_files(run_bundle(run), trust()).passed


def test_removals_are_rehearsed_without_opening_a_trigger(alice_actor, tmp_path, monkeypatch):
    monkeypatch.setitem(BUDGETS, "quick", Budget(300, 2, (1e-3,), (0.6,), (4,)))
    row, key = marked(alice_actor, tmp_path)
    chosen = ["as-stolen", "fine-tune-last", "prune-and-tune", "distil-labels"]
    rehearsal = attacks_create(
        actor=alice_actor, protection=row, key=key, dataset="blots", attacks=chosen
    )
    tasks.run_job(str(rehearsal.job_id))
    rehearsal.refresh_from_db()
    assert rehearsal.job.state == Job.State.SUCCEEDED, rehearsal.job.error
    verdicts = {one["name"]: one["verdict"] for one in rehearsal.results}
    assert list(verdicts) == chosen
    assert verdicts["as-stolen"] == verdicts["fine-tune-last"] == "match"
    assert verdicts["distil-labels"] == "no match"
    assert services.rule_for(row).used == ()


@pytest.mark.parametrize(("choices", "told"), [
    ({"method": "keyed-labels"}, "do not belong together"),
    ({"probes": 33}, "at most 32 triggers"),
    ({"probes": 20, "query_cap": 10}, "the cap is 10"),
    ({"alpha": 0.01}, "which stays"),
])  # fmt: skip
def test_rules_that_do_not_suit_a_watermark_are_refused(alice_actor, choices, told):
    row = factories.finished_trigger(alice_actor)
    with pytest.raises(SpellmarkError, match=told):
        services.rule_for(row, **choices)
