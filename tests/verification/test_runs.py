import json
from dataclasses import replace
from hashlib import sha256

import pytest
from django.db import IntegrityError, transaction

from accounts.actors import ForbiddenError
from jobs.models import Job, SealedSecret
from jobs.sealing import unseal
from jobs.services import LeaseLostError
from ledger.models import Certificate
from ledger.selectors import trust
from ledger.services import ledger_sequence
from protection.services import (
    ProtectionError,
    key_lock_create,
    lock_finish,
)
from registry import storage
from registry.models import Commitment
from registry.services import commitment_create
from spellmark.certificates.bundle import Bundle
from spellmark.certificates.trust import Trust
from spellmark.certificates.verify import _check_statistic, verify_bundle, verify_files
from spellmark.errors import SpellmarkError
from spellmark.evidence import transcript
from spellmark.evidence.decision import DecisionRuleError, Disclosure, decide
from spellmark.evidence.draws import true_slot
from spellmark.evidence.fingerprint_rule import FINGERPRINTS
from spellmark.evidence.transcript import Exchange
from spellmark.secrets import KeyFile
from spellmark.suspects.base import SuspectError
from tasks.lock import opened_key
from tests.factories import (
    GUARD_KEY,
    KEY,
    REPORT_CARD,
    cancelled_run,
    claimed,
    endpoint_suspect,
    failed_run,
    finished_guard,
    finished_protection,
    finished_run,
    key_file,
    model_file,
    published_version,
    queued_run,
)
from verification import services
from verification.methods import METHODS, limits
from verification.models import Run
from verification.selectors import NoEvidenceError, run_bundle, run_list
from verification.services import VerificationError, run_create, run_resume
from verification.tries import Tries, tries_limit

HEADERS = {"Authorization": "Bearer quiet"}


@pytest.fixture
def protection(alice_actor):
    return finished_protection(alice_actor)


def _run(actor, protection, **choices) -> Run:
    asked = {
        "key": KEY, "method": "random-key-test", "alpha": 0.01, "decoys": 99, "probes": 16,
    }  # fmt: skip
    suspect = choices.pop("suspect", None) or endpoint_suspect(actor)
    return run_create(actor=actor, suspect=suspect, protection=protection, **(asked | choices))


def _exchange(number: int, **choices) -> Exchange:
    sent = Exchange(
        number=number, probe=number, image_index=number, image_sha256="a" * 64, label=1,
        first_slot=0, request_sha256="b" * 64, state="sent",
    )  # fmt: skip
    return replace(sent, **choices)


def _answered(number: int, answer: bytes = b"{}") -> Exchange:
    return _exchange(
        number, state="answered", status=200, level="labels", labels=(1,),
        answer_sha256=sha256(answer).hexdigest(),
    )  # fmt: skip


def test_a_run_fixes_its_rule_and_its_seed_before_the_first_query(alice_actor, protection):
    run = _run(alice_actor, protection, headers=HEADERS, batch=40)
    run.refresh_from_db()
    assert run.rule == {
        "method": "random-key-test", "alpha": 0.01, "decoys": 99, "probes": 16, "query_cap": 48,
        "minimum_probes": 12, "classes": 10, "subkeys": 1,
    }  # fmt: skip
    assert run.smallest_p == 0.01
    assert (run.method, run.evidence_class, run.dataset, run.verdict) == (
        "random-key-test", "verified", "fashion-mnist", "",
    )  # fmt: skip
    assert len(bytes.fromhex(run.seed)) == 32
    certificate = Certificate.objects.get(id=protection.result.certificate_id)
    assert run.registration_digest == certificate.digest
    assert run.registration_index == 2
    assert (run.job.kind, run.job.queue) == ("verification-run", "egress")
    sealed = unseal(run.job)
    assert KeyFile.loads(sealed["key"]) == KEY
    assert sealed["headers"] == HEADERS
    assert "quiet" not in json.dumps(list(Run.objects.values()), default=str)


def test_no_two_runs_have_one_seed(alice_actor, protection):
    assert _run(alice_actor, protection).seed != _run(alice_actor, protection).seed


def test_a_suspect_file_is_asked_where_the_models_run(alice_actor, protection):
    suspect = services.suspect_file_create(actor=alice_actor, name="f", chunks=[model_file()])
    assert _run(alice_actor, protection, suspect=suspect).job.queue == "gpu"


def test_it_refuses_another_key_file_than_was_committed(alice_actor, protection):
    jobs = Job.objects.count()
    with pytest.raises(ProtectionError, match="does not open"):
        _run(alice_actor, protection, key=replace(KEY, secret=bytes(32)))
    assert (Run.objects.count(), Job.objects.count()) == (0, jobs)


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ({"alpha": 0}, "not accepted"),
        ({"alpha": -0.01}, "not accepted"),
        ({"alpha": 0.06}, "not accepted"),
        ({"alpha": 1}, "not accepted"),
        ({"alpha": float("nan")}, "not accepted"),
        ({"alpha": 0.009}, "above alpha"),
        ({"alpha": 1e-6}, "above alpha"),
        ({"decoys": 98}, "above alpha"),
        ({"probes": 0}, "cannot be required"),
    ],
)
def test_it_refuses_a_rule_under_which_no_run_could_match(alice_actor, protection, choices, said):
    with pytest.raises(DecisionRuleError, match=said) as refused:
        _run(alice_actor, protection, **choices)
    assert refused.value.hint
    assert not Run.objects.exists()


def _keyed(actor, protection, **choices) -> Run:
    """A run with the defaults of the product."""
    suspect = endpoint_suspect(actor)
    asked = {"key": KEY, "suspect": suspect, "protection": protection}
    return run_create(actor=actor, **(asked | choices))


def test_a_lock_with_keyed_labels_is_tested_by_them(alice_actor, protection):
    run = _keyed(alice_actor, protection)
    assert run.method == "keyed-labels"
    assert run.rule == {
        "method": "keyed-labels", "alpha": 1e-6, "decoys": 0, "probes": 64, "query_cap": 64,
        "minimum_probes": 48, "classes": 10, "subkeys": 1,
    }  # fmt: skip
    assert run.smallest_p == 1 / 3628800


def test_several_subkeys_share_a_request_and_lower_the_floor(alice_actor):
    key = key_file(subkeys=2)
    run = _keyed(alice_actor, finished_protection(alice_actor, key=key), key=key)
    assert (run.rule["subkeys"], run.rule["query_cap"]) == (2, 64)
    assert run.smallest_p == pytest.approx(7.6e-14, rel=1e-2)


def test_a_lock_with_plain_labels_is_tested_by_decoys_alone(alice_actor):
    key = key_file(labels="plain")
    protection = finished_protection(alice_actor, key=key)
    run = _keyed(alice_actor, protection, key=key)
    assert (run.method, run.rule["decoys"], run.rule["alpha"]) == ("random-key-test", 999, 0.001)
    with pytest.raises(VerificationError, match="plain labels"):
        _keyed(alice_actor, protection, key=key, method="keyed-labels")


@pytest.mark.parametrize(
    ("classes", "method", "alpha"),
    [
        (2, "random-key-test", 0.001),
        (3, "random-key-test", 0.001),
        (4, "keyed-labels", 0.05),
        (7, "keyed-labels", 0.001),
        (1000, "keyed-labels", 1e-6),
    ],
)
def test_the_default_is_what_the_classes_can_show(protection, classes, method, alpha):
    protection.source.card["classes"] = classes
    rule = services.rule_for(protection)
    assert (rule.method, rule.alpha) == (method, alpha)
    assert rule.smallest_p <= rule.alpha


@pytest.mark.parametrize(
    ("classes", "choices", "said"),
    [
        (2, {}, "2 classes under 1 sub-key can show p = 0.5 at the least.*lock with 5 sub-keys"),
        (10, {"alpha": 1e-7}, "can show p = 2.8e-07 at the least.*lock with 2 sub-keys"),
        (10, {"probes": 0}, "cannot be required"),
    ],
)
def test_keyed_labels_say_what_they_cannot_show(protection, classes, choices, said):
    protection.source.card["classes"] = classes
    with pytest.raises(DecisionRuleError) as refused:
        services.rule_for(protection, method="keyed-labels", **choices)
    assert refused.match(said)


def test_the_transcript_of_keyed_labels_discloses_the_labels_and_no_transform(alice_actor):
    run = finished_run(alice_actor, method="keyed-labels")
    key = opened_key(run.protection.source, run.protection.commitment, KEY)
    header, exchanges = transcript.read(storage.get(run.transcript_sha256))
    assert header["labels"] == [key.labels[0].tolist()]
    assert header.keys() == {
        "format", "run", "method", "scheme", "parameters", "commitment", "binding", "dataset",
        "suspect", "rule", "batch", "seed", "labels", "tries", "earlierRegistration",
    }  # fmt: skip
    assert all(len(exchange.labels) == 1 for exchange in exchanges)
    assert (run.hits, run.true_slot) == (None, None)
    assert len(run.null_distribution) == 17
    assert sum(run.null_distribution) == pytest.approx(1)


def test_a_run_that_broke_off_discloses_no_labels(alice_actor):
    run = failed_run(alice_actor, method="keyed-labels")
    header, _ = transcript.read(storage.get(run.transcript_sha256))
    assert header["labels"] is None


def test_the_query_cap_counts_requests_not_images(alice_actor, protection):
    with pytest.raises(VerificationError, match="take 48 requests, more than the cap of 47"):
        _run(alice_actor, protection, batch=40, query_cap=47)
    assert _run(alice_actor, protection, batch=40, query_cap=48).rule["query_cap"] == 48
    assert _run(alice_actor, protection, batch=100).rule["query_cap"] == 16
    assert _run(alice_actor, protection, batch=99).rule["query_cap"] == 32


def test_a_protection_that_is_not_finished_starts_no_run(alice_actor):
    commitment = commitment_create(
        actor=alice_actor, version=published_version(alice_actor), digest=KEY.commitment(),
        scheme=KEY.scheme, parameters=KEY.parameters,
    )  # fmt: skip
    protection = key_lock_create(
        actor=alice_actor, commitment=commitment, key=KEY, dataset="fashion-mnist"
    )
    with pytest.raises(VerificationError, match="not finished"):
        _run(alice_actor, protection)


def test_a_registration_that_is_not_logged_yet_starts_no_run(alice_actor, tmp_path):
    commitment = commitment_create(
        actor=alice_actor, version=published_version(alice_actor), digest=KEY.commitment(),
        scheme=KEY.scheme, parameters=KEY.parameters,
    )  # fmt: skip
    protection = key_lock_create(
        actor=alice_actor, commitment=commitment, key=KEY, dataset="fashion-mnist"
    )
    ledger_sequence()
    locked = tmp_path / "locked.safetensors"
    locked.write_bytes(model_file(description="locked"))
    lock_finish(
        protection=protection, job=claimed(protection.job), locked=locked, report_card=REPORT_CARD
    )
    with pytest.raises(VerificationError, match="not in the log yet"):
        _run(alice_actor, protection)
    ledger_sequence()
    assert _run(alice_actor, protection).registration_index == 2


def test_starting_a_run_needs_the_permission_to_verify(alice_actor, acme, protection):
    suspect = endpoint_suspect(alice_actor)
    writer = type(alice_actor)(acme, "writer", frozenset({"read", "write"}))
    with pytest.raises(ForbiddenError):
        _run(writer, protection, suspect=suspect)


def test_strangers_see_no_runs_and_auditors_do(alice_actor, charlie_actor, acme, protection):
    run = _run(alice_actor, protection)
    auditor = type(alice_actor)(acme, "auditor", frozenset({"audit"}))
    assert list(run_list(actor=auditor)) == [run]
    assert not run_list(actor=charlie_actor)


def test_no_query_is_recorded_twice(alice_actor, protection):
    run = _run(alice_actor, protection)
    services.exchange_intend(run=run, exchange=_exchange(0))
    with pytest.raises(IntegrityError, match="no_query_is_sent_twice"), transaction.atomic():
        services.exchange_intend(run=run, exchange=_exchange(0))
    other = _run(alice_actor, protection)
    services.exchange_intend(run=other, exchange=_exchange(0))
    assert run.exchanges.count() == 1


def test_a_resumed_run_counts_what_was_sent_without_an_answer_as_lost(alice_actor, protection):
    run = _run(alice_actor, protection)
    for number in range(3):
        services.exchange_intend(run=run, exchange=_exchange(number))
    services.exchange_conclude(run=run, exchange=_answered(0), answer=b"{}")
    failed = _exchange(1, state="failed", error="HTTP status 503")
    services.exchange_conclude(run=run, exchange=failed, answer=None)
    assert run_resume(run=run) == {0, 1, 2}
    recorded = services.run_exchanges(run)
    assert recorded == [_answered(0), failed, _exchange(2, state="lost")]
    assert [row.state for row in run.exchanges.all()] == ["answered", "failed", "lost"]
    assert run_resume(run=run) == {0, 1, 2}
    assert services.run_exchanges(run) == recorded


def test_an_answer_that_comes_after_its_request_was_counted_as_lost_changes_nothing(
    alice_actor, protection
):
    run = _run(alice_actor, protection)
    services.exchange_intend(run=run, exchange=_exchange(0))
    run_resume(run=run)
    with pytest.raises(LeaseLostError):
        services.exchange_conclude(run=run, exchange=_answered(0), answer=b"{}")
    assert services.run_exchanges(run) == [_exchange(0, state="lost")]


def test_an_answer_is_recorded_once(alice_actor, protection):
    run = _run(alice_actor, protection)
    services.exchange_intend(run=run, exchange=_exchange(0))
    services.exchange_conclude(run=run, exchange=_answered(0), answer=b"{}")
    with pytest.raises(LeaseLostError):
        services.exchange_conclude(run=run, exchange=_answered(0, b"[]"), answer=b"[]")
    assert services.run_exchanges(run) == [_answered(0)]


# Runs by fingerprint have no key to disclose: tests/verification/test_fingerprints.py.
@pytest.mark.parametrize("method", [name for name in METHODS if name not in FINGERPRINTS])
@pytest.mark.parametrize("verdict", ["match", "no match", "inconclusive"])
def test_a_finished_runs_bundle_is_accepted_offline(alice_actor, tmp_path, verdict, method):
    run = finished_run(alice_actor, verdict=verdict, method=method)
    run.refresh_from_db()
    assert (run.verdict, run.job.state) == (verdict, "succeeded")
    assert not SealedSecret.objects.exists()
    path = tmp_path / "bundle.zip"
    run_bundle(run).save(path)
    report = verify_bundle(path, Trust.loads(trust().dumps()))
    assert report.passed, report.checks
    assert [check.name for check in report.checks if check.passed] == [
        "bundle", "signature", "statement", "validity", "log", "transcript", "answers",
        "statistic",
    ]  # fmt: skip
    assert (report.statement.verdict, report.statement.p_value) == (verdict, run.p_value)
    assert (report.statement.registration_index, report.statement.registration_digest) == (
        run.registration_index, run.registration_digest,
    )  # fmt: skip
    parameters = report.statement.parameters
    assert parameters["ownerCommitments"] == Commitment.objects.count()
    assert (parameters["protectionsOfKey"], parameters["earlierRuns"]) == (1, 0)
    assert report.statement.method == method
    told = report.statement.limits[len(limits(method)) :]
    assert report.statement.limits == limits(method) + told
    assert told == tries_limit(method, parameters, run.p_value)
    assert report.statement.decoys == run.rule.get("decoys", 0)
    assert report.statement.smallest_p == run.smallest_p


def test_earlier_runs_are_counted_whatever_came_of_them(alice_actor):
    first = finished_run(alice_actor, verdict="no match")
    second = finished_run(alice_actor, protection=first.protection)
    tries = Tries.of(verify_files(run_bundle(second), trust()).statement.parameters)
    assert (tries.earlier, tries.count) == (1, 2 * Commitment.objects.count())
    assert "1 earlier run of this owner" in str(tries)
    (first_told, second_told) = (
        verify_files(run_bundle(run), trust()).statement.limits[-1] for run in (first, second)
    )
    assert "tries" not in first_told
    assert second_told == (
        "With 2 tries (1 earlier run of this owner), an innocent would get this far with a "
        "probability of up to 0.02."
    )


def test_runs_under_another_key_are_tries_too(alice_actor):
    first = finished_protection(alice_actor)
    for _ in range(3):
        finished_run(alice_actor, protection=first, verdict="no match")
    other = key_file(labels="plain")
    lock = finished_protection(alice_actor, name="wren", key=other)
    run = finished_run(alice_actor, protection=lock, key=other)
    tries = Tries.of(verify_files(run_bundle(run), trust()).statement.parameters)
    assert (tries.keys, tries.earlier, tries.count) == (2, 3, 2 * 4)


def test_another_owners_runs_are_no_tries(alice_actor, charlie_actor):
    finished_run(charlie_actor)
    run = finished_run(alice_actor)
    assert verify_files(run_bundle(run), trust()).statement.parameters["earlierRuns"] == 0


def test_tries_that_the_transcript_tells_otherwise_are_refused(alice_actor):
    run = finished_run(alice_actor)
    bundle = run_bundle(run)
    header, exchanges = transcript.read(bundle.transcript)
    header.pop("format")
    told = header | {"tries": header["tries"] | {"earlierRuns": 7}}
    lines = transcript.write(told, exchanges)
    statement = verify_files(bundle, trust()).statement
    with pytest.raises(SpellmarkError, match="earlierRuns is not the one"):
        _check_statistic(transcript.read(lines), statement)


@pytest.mark.parametrize(
    "name",
    ["classes", "triggers", "digits", "queryCap", "minimumProbes", "answeredProbes", "runNumber"],
)
def test_a_certificate_tells_the_rule_of_the_triggers_as_its_transcript_does(alice_actor, name):
    bundle = run_bundle(finished_run(alice_actor, method="trigger-watermark"))
    statement = verify_files(bundle, trust()).statement
    told = transcript.read(bundle.transcript)
    _check_statistic(told, statement)
    parameters = {**statement.parameters, name: statement.parameters[name] + 1}
    with pytest.raises(SpellmarkError, match=f"{name} is not the one"):
        _check_statistic(told, replace(statement, parameters=parameters))


def test_an_altered_bundle_is_refused(alice_actor):
    bundle = run_bundle(finished_run(alice_actor))
    trusted = trust()
    other_transcript = bundle.transcript.replace(b'"state":"answered"', b'"state":"failed"', 1)
    other_answer = {**bundle.answers, min(bundle.answers): b"{}"}
    for altered in (
        replace(bundle, transcript=other_transcript),
        replace(bundle, transcript=None),
        replace(bundle, answers=other_answer),
        replace(bundle, certificate=bundle.certificate.replace(b'"payload":"e', b'"payload":"f')),
    ):
        assert not verify_files(altered, trusted).passed
    assert verify_files(bundle, trusted).passed


def test_the_transcript_holds_what_was_decided_before_and_every_exchange(alice_actor):
    run = finished_run(alice_actor)
    header, exchanges = transcript.read(storage.get(run.transcript_sha256))
    assert header["run"] == str(run.id)
    assert header["rule"] == run.rule
    assert header["seed"] == run.seed
    assert run.true_slot == true_slot(bytes.fromhex(run.seed), 99)
    assert header["binding"] == run.protection.commitment.binding
    assert exchanges == services.run_exchanges(run)
    text = storage.get(run.transcript_sha256).decode()
    for secret in (KEY.secret.hex(), KEY.nonce.hex()):
        assert secret not in text


def test_a_run_whose_answers_came_at_several_levels_is_finished(alice_actor, protection):
    run = _run(alice_actor, protection)
    job = claimed(run.job)
    for number, level in enumerate(("labels", "scores", "probabilities") * 5 + ("labels",)):
        services.exchange_intend(run=run, exchange=_exchange(number))
        answer = b"%d" % number
        came = replace(
            _answered(number, answer), level=level, labels=tuple(i % 2 for i in range(100))
        )
        services.exchange_conclude(run=run, exchange=came, answer=answer)
    told = Disclosure(bytes.fromhex(run.seed))
    services.run_finish(
        run=run, job=job, disclosure=told,
        suspect_description={"kind": "endpoint", "url": "http://x"},
        decision=decide(services.run_rule(run), told, services.run_exchanges(run)),
    )  # fmt: skip
    run.refresh_from_db()
    assert run.access_level == "labels and probabilities and scores"
    ledger_sequence()
    assert verify_files(run_bundle(run), trust()).passed


def test_a_failed_run_is_inconclusive_and_keeps_its_transcript(alice_actor):
    run = failed_run(alice_actor)
    run.refresh_from_db()
    assert (run.verdict, run.job.state, run.certificate_id) == ("inconclusive", "failed", None)
    assert run.reason == run.job.error == "The suspect answered with HTTP status 503."
    assert run.finished_at
    _, exchanges = transcript.read(storage.get(run.transcript_sha256))
    assert [exchange.state for exchange in exchanges] == ["answered"] * 2 + ["failed"] * 4
    with pytest.raises(NoEvidenceError, match="no certificate"):
        run_bundle(run)


def test_a_cancelled_run_has_no_verdict(alice_actor):
    run = cancelled_run(alice_actor)
    assert (run.verdict, run.job.state) == ("", "cancelled")
    assert not SealedSecret.objects.exists()


def test_a_worker_that_lost_its_lease_writes_no_verdict(alice_actor, protection):
    run = _run(alice_actor, protection)
    slow = claimed(run.job)
    Job.objects.update(lease="00000000-0000-4000-8000-000000000000")
    certificates = Certificate.objects.count()
    error = SuspectError("It is gone.", kind="unreachable")
    with pytest.raises(LeaseLostError):
        services.run_fail(run=run, job=slow, error=error)
    run.refresh_from_db()
    assert (run.verdict, run.transcript_sha256) == ("", "")
    services.exchange_intend(run=run, exchange=_exchange(0))
    came = replace(_answered(0), labels=(0, 1) * 50)
    services.exchange_conclude(run=run, exchange=came, answer=b"{}")
    told = Disclosure(bytes.fromhex(run.seed))
    decision = decide(services.run_rule(run), told, services.run_exchanges(run))
    with pytest.raises(LeaseLostError):
        services.run_finish(
            run=run, job=slow, decision=decision, disclosure=told, suspect_description={}
        )
    run.refresh_from_db()
    assert (run.verdict, run.certificate_id) == ("", None)
    assert Certificate.objects.count() == certificates


def test_a_match_without_a_p_value_cannot_be_stored(alice_actor, protection):
    run = _run(alice_actor, protection)
    with pytest.raises(IntegrityError, match="a_match_has_its_p_value"), transaction.atomic():
        Run.objects.filter(id=run.id).update(verdict="match", transcript_sha256="a" * 64)


def test_altered_evidence_is_noticed_when_the_bundle_is_made(alice_actor):
    run = finished_run(alice_actor)
    path = storage.path_of(run.transcript_sha256)
    path.chmod(0o640)
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(storage.StorageError, match="altered"):
        run_bundle(run)


def test_a_bundle_waits_for_the_log(alice_actor, monkeypatch):
    from ledger.selectors import NotYetLoggedError

    monkeypatch.setattr("tests.factories.ledger_sequence", lambda: 0)
    protection = finished_protection(alice_actor)
    ledger_sequence()
    run = finished_run(alice_actor, protection=protection)
    with pytest.raises(NotYetLoggedError):
        run_bundle(run)
    ledger_sequence()
    assert isinstance(run_bundle(run), Bundle)


def test_a_run_in_the_queue_has_a_suspect_a_protection_and_no_result(alice_actor):
    run = queued_run(alice_actor)
    assert (run.verdict, run.hits, run.p_value, run.finished_at) == ("", None, None, None)


def test_a_suspect_of_other_classes_is_not_held_against_a_guard(alice_actor):
    guard = finished_guard(alice_actor)
    config = {"url": "http://127.0.0.1:9", "model": "other", "classes": 7}
    suspect = services.suspect_endpoint_create(actor=alice_actor, name="other", config=config)
    with pytest.raises(services.VerificationError, match="7 classes apart, the protected model 10"):
        services.run_create(actor=alice_actor, suspect=suspect, protection=guard, key=GUARD_KEY)
    assert not Run.objects.exists()
