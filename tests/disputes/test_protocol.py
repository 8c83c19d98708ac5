"""The twelve demands: met only where stored and signed facts show it."""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection
from django.utils.html import escape

from disputes.report import build_report
from disputes.report.protocol import (
    DEMANDS,
    DOES_NOT_APPLY,
    MET,
    NOT_MET,
    Facts,
    judge,
    protocol_facts,
    protocol_of,
)
from disputes.services import case_create, report_create
from ledger.models import Certificate, Timestamp
from registry import storage
from spellmark.certificates import timestamps
from spellmark.certificates.certificate import loads
from tests import factories
from tests.programs import need
from tests.timestamp_authority import TimestampAuthority
from verification.models import Run

M, N, D = MET, NOT_MET, DOES_NOT_APPLY
EXPECTED = {
    # 1 needs an outside authority, 5 and 11 a null pool, 9 somebody who was given access, 10 TLS or
    # a file; 6 is not met with a rank of 0.05 where the owner committed to a second key.
    "trigger-watermark": [N, M, M, D, M, M, M, M, N, N, M, M],
    "random-key-test": [N, M, M, D, N, M, M, D, N, N, N, M],
    "keyed-labels": [N, M, M, D, N, M, M, D, N, N, N, M],
    "dynamic-watermark": [N, M, M, D, N, M, N, D, N, N, N, M],
    "external-feature": [N, M, M, D, M, N, M, D, N, N, M, M],
    "external-feature-gradients": [N, M, M, D, M, N, M, D, N, M, M, M],
}


def answers(run: Run) -> dict[int, tuple[str, str]]:
    return {a.number: (a.state, a.how) for a in protocol_of(Run.objects.get(id=run.id))}


def states(run: Run) -> list[str]:
    return [state for state, _ in answers(run).values()]


@pytest.mark.parametrize("method", EXPECTED)
def test_a_match_is_judged_by_its_method(alice_actor, method):
    if method == "dynamic-watermark":
        # The owner's only key: the evidence just crosses its line, and leaves no room for others.
        guard = factories.finished_guard(alice_actor)
        run = factories.finished_mark_run(alice_actor, guard=guard)
    else:
        run = factories.finished_run(alice_actor, verdict="match", method=method)
    found = protocol_of(Run.objects.get(id=run.id))
    assert [answer.state for answer in found] == EXPECTED[method], found
    assert [answer.demand for answer in found] == list(DEMANDS)


def test_what_asks_no_pool_says_what_stands_in_its_place(alice_actor):
    told = answers(factories.finished_run(alice_actor))
    for number in (5, 11):
        assert told[number][0] == N
        assert "In its place stands the exact argument of the random key" in told[number][1]


def test_a_verdict_rests_on_enough_models_of_the_pool(alice_actor):
    run = factories.finished_trigger_run(alice_actor)
    assert "0 of 57 innocent models pass, at most 5.12 % (95 %)" in answers(run)[11][1]
    few = facts_of(run, pool=tuple({"source": "trained"} for _ in range(29)))
    assert judge(few)[10].state == N
    assert "29 innocent models were asked the same, not 30" in judge(few)[10].how


def test_a_fingerprint_is_held_to_its_pool(alice_actor):
    run = factories.finished_fingerprint_run(alice_actor)
    assert states(run) == [N, D, D, M, M, M, M, D, N, N, M, M]
    told = answers(run)
    assert "is right on 91.2 % of the test images; a claim asks for 30 %" in told[7][1]
    found, models = run.findings, len(run.pool)
    assert f"{models} models that the registry trained were asked; none is accused" in told[5][1]
    bound = f"{100 * found['falsePositiveRateAtMost']:.3g} % (95 %)"
    assert f"0 of {found['tested']}, at most {bound}" in told[11][1]
    again = factories.finished_fingerprint_run(alice_actor, version=run.version)
    assert "held to all 2 tries" in answers(again)[6][1]
    most = int(0.05 / again.p_value)
    assert judge(facts_of(again, tries=most))[5].state == M
    assert judge(facts_of(again, tries=most + 1))[5].state == N


def test_an_owners_model_near_guessing_claims_nothing(alice_actor):
    facts = facts_of(factories.finished_fingerprint_run(alice_actor))
    assert judge(facts)[6].state == M
    for right, told in ((0.29, "right on 29 %"), (None, "is not on record")):
        parameters = {**facts.signed.parameters, "ownerAccuracy": right}
        statement = replace(facts.signed, parameters=parameters)
        found = judge(replace(facts, verdict=replace(facts.verdict, statement=statement)))[6]
        assert (found.state, told in found.how) == (N, True)


def test_a_void_claim_keeps_to_the_protocol(alice_actor):
    run = factories.finished_fingerprint_run(alice_actor, void=True)
    state, how = answers(run)[5]
    assert (state, "so the claim is void" in how) == (M, True)


def test_a_run_without_a_verdict_claims_nothing(alice_actor):
    run = factories.failed_run(alice_actor)
    told = answers(run)
    assert told[11] == (D, "The run ended without a verdict, so it claims nothing.")
    assert [told[number][0] for number in (3, 10, 12)] == [N, N, N]
    waiting = factories.queued_run(alice_actor, protection=run.protection)
    assert answers(waiting)[11] == (D, "The run is still going on, so it claims nothing.")


def test_a_second_run_of_a_lock_is_no_longer_fresh(alice_actor):
    run = factories.finished_run(alice_actor, method="keyed-labels")
    again = factories.finished_run(alice_actor, protection=run.protection, method="keyed-labels")
    assert answers(again)[8][0] == N
    assert "1 earlier run under this key told what its answers are" in answers(again)[8][1]


def test_a_second_run_opens_fresh_triggers(alice_actor):
    run = factories.finished_trigger_run(alice_actor)
    again = factories.finished_trigger_run(alice_actor, trigger=run.protection)
    opened = [set(r.exchanges.values_list("line__image_index", flat=True)) for r in (run, again)]
    assert not opened[0] & opened[1]
    assert answers(again)[8][0] == M
    # A run that shows triggers of the first is told apart, whatever its rule says.
    line = again.exchanges.first()
    line.line["image_index"] = min(opened[0])
    line.save()
    assert answers(again)[8] == (N, "1 triggers had been opened by an earlier run.")


@pytest.mark.parametrize("edited", ["digest", "index"])
def test_a_registration_that_is_dated_back_is_rejected(alice_actor, edited):
    """Demand 1: the row names an earlier registration, the signed certificates another."""
    run = factories.finished_run(alice_actor)
    earlier = Certificate.objects.get(id=run.protection.source.certificate_id)
    if edited == "digest":
        run.registration_digest = earlier.digest
    else:
        run.registration_index = 0
    run.save()
    told = answers(run)
    assert [told[number][0] for number in (1, 12)] == [N, N]
    assert "registration" in told[1][1]


@pytest.mark.parametrize("edited", ["body", "digest"])
def test_a_registration_that_was_edited_is_rejected(alice_actor, edited):
    """Demand 1: somebody who owns the database changes the certificate itself."""
    run = factories.finished_run(alice_actor)
    row = Certificate.objects.get(digest=run.registration_digest)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        if edited == "body":
            other = Certificate.objects.get(id=run.protection.source.certificate_id)
            new = {"body": other.body}
        else:
            new = {"digest": "0" * 64}
            run.registration_digest = "0" * 64
            run.save()
        Certificate.objects.filter(id=row.id).update(**new)
        cursor.execute("SET LOCAL session_replication_role = DEFAULT")
    told = answers(run)
    assert told[1][0] == N
    assert "does not hold: The certificate is kept under the digest of another one" in told[1][1]


def test_a_transcript_that_was_altered_is_told(alice_actor):
    run = factories.finished_run(alice_actor)
    run.transcript_sha256 = storage.put(storage.get(run.transcript_sha256) + b"{}\n")
    run.save()
    assert answers(run)[10] == (N, "The transcript is not the one that the certificate names.")


def test_a_record_that_outdoes_its_certificate_is_told(alice_actor):
    run = factories.finished_run(alice_actor, verdict="no match")
    run.verdict, run.p_value = "match", 0.01
    run.save()
    told = answers(run)
    assert told[11] == (N, "The run’s record says something else than its certificate.")


def stamp(settings, authority: TimestampAuthority, digest: str) -> None:
    """What the stamping round does, without the way over HTTP."""
    settings.TIMESTAMP_AUTHORITIES = (authority.pem,)
    row = Certificate.objects.get(digest=digest)
    signature = loads(bytes(row.body)).signature
    response = authority.respond(timestamps.request(signature))
    Timestamp.objects.create(
        certificate=row, response=response, stamped_at=timestamps.decode(response)
    )


def test_an_outside_authority_makes_the_commitment_count(alice_actor, settings, tmp_path):
    need("openssl")
    authority = TimestampAuthority(tmp_path / "tsa")
    protection = factories.finished_protection(alice_actor)
    protection.refresh_from_db()
    registered = Certificate.objects.get(id=protection.registration_certificate_id)
    stamp(settings, authority, registered.digest)
    run = factories.finished_run(alice_actor, protection=protection)
    state, how = answers(run)[1]
    assert (state, "A timestamp authority saw it at" in how) == (M, True)
    # Nobody here trusts that authority any more: its word is none.
    settings.TIMESTAMP_AUTHORITIES = ()
    assert answers(run)[1][0] == N


def test_a_stamp_after_the_first_question_comes_too_late(alice_actor, settings, tmp_path):
    need("openssl")
    run = factories.finished_run(alice_actor)
    stamp(settings, TimestampAuthority(tmp_path / "tsa"), run.registration_digest)
    facts = protocol_facts(run)
    assert facts.registration is not None and facts.registration.stamped_at is not None
    late = replace(facts, asked_at=facts.registration.logged_at)
    late_stamp = replace(
        facts.registration, stamped_at=facts.registration.logged_at + timedelta(seconds=1)
    )
    assert judge(replace(late, registration=late_stamp))[0].state == N


def facts_of(run: Run, **changed) -> Facts:
    return replace(protocol_facts(Run.objects.get(id=run.id)), **changed)


def test_every_demand_falls_with_its_facts(alice_actor):
    """A judge that always said met would fail here."""
    run = factories.finished_trigger_run(alice_actor)
    signed = facts_of(run).signed
    assert signed is not None
    card = facts_of(run).report_card
    bound = {"suspect_url": "https://robin.example", "tls_certificates": frozenset({"a" * 64})}
    breaks = {
        2: {"registration": None},
        3: {"root": "0" * 64},
        6: {"rule": {**run.rule, "run": 2}},
        7: {"report_card": {**card, "recall": 0.5}},
        8: {"opened_twice": 1},
        10: {"transcript_holds": False},
        11: {"verdict": replace(facts_of(run).verdict, statement=replace(signed, limits=()))},
        12: {"verdict": None},
    }
    for number, changed in breaks.items():
        assert judge(facts_of(run, **bound))[number - 1].state == M, number
        assert judge(facts_of(run, **bound | changed))[number - 1].state == N, number
    for changed in ({"suspect_classes": 9}, {"classes_seen": 1}, {"report_card": {}}):
        assert judge(facts_of(run, **changed))[6].state == N
    # Rows of a trigger run have no score; its findings tell how many models passed.
    pool = tuple({"source": "trained"} for _ in range(29))
    asked = {"passed": 0, "void": False}
    assert judge(facts_of(run, pool=pool, findings=asked))[4].state == N
    pool = (*pool, pool[0])
    assert judge(facts_of(run, pool=pool, findings={}))[4].state == N
    assert judge(facts_of(run, pool=pool, findings=asked))[4].state == M
    void = judge(facts_of(run, pool=pool, findings={"passed": 2, "void": True}))[4]
    assert (void.state, "accuses 2 of 30" in void.how) == (N, True)


def test_an_endpoint_is_bound_by_one_tls_certificate(alice_actor):
    run = factories.finished_run(alice_actor)
    assert "answered without TLS" in answers(run)[10][1]
    bound = {"suspect_url": "https://robin.example", "tls_certificates": frozenset({"a" * 64})}
    assert judge(facts_of(run, **bound))[9].state == M
    for changed, told in (
        ({"suspect_url": "http://robin.example"}, "without TLS"),
        ({"tls_certificates": frozenset({"a" * 64, None})}, "without TLS"),
        ({"tls_certificates": frozenset({"a" * 64, "b" * 64})}, "under 2 TLS certificates"),
    ):
        found = judge(facts_of(run, **bound | changed))[9]
        assert (found.state, told in found.how) == (N, True)


def test_a_match_among_many_tries_is_not_met(alice_actor):
    run = factories.finished_run(alice_actor, verdict="match")
    assert judge(facts_of(run, tries=1))[5].state == M
    assert judge(facts_of(run, tries=2))[5].state == N


def test_the_report_tells_all_twelve(alice_actor):
    run = factories.finished_trigger_run(alice_actor)
    case = case_create(actor=alice_actor, title="Robin", runs=[run])
    report = report_create(actor=alice_actor, case=case)
    page = build_report(report, lambda share, step: None).html.decode()
    for sentence in DEMANDS:
        assert escape(sentence) in page
    for _, how in answers(run).values():
        assert escape(how) in page
