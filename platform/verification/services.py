"""What makes suspects and runs, and records what came of them."""

import secrets
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.actors import VERIFY, Actor
from config.validation import validate
from jobs.models import Job
from jobs.services import LeaseLostError, job_create, job_fail, job_finish
from ledger.models import Certificate
from ledger.selectors import certificate_entry_of
from ledger.services import certificate_issue
from protection.guards import guard_parameters
from protection.models import Protection
from protection.services import card_of, check_opens, lock_parameters
from registry import storage
from registry.models import Commitment
from spellmark.certificates.statements import Verdict
from spellmark.errors import SpellmarkError
from spellmark.evidence import transcript
from spellmark.evidence.decision import (
    KEYED_LABELS,
    MOST_ALPHA,
    RANDOM_KEY_TEST,
    Decision,
    DecisionRule,
    Disclosure,
    Outcome,
    usual_alpha,
)
from spellmark.evidence.earlier import held_against
from spellmark.evidence.fingerprint_rule import (
    FEATURES,
    RANKED,
    FingerprintRule,
)
from spellmark.evidence.keyed_label_test import smallest_p as keyed_label_floor
from spellmark.evidence.mark_replay import MarkDisclosure
from spellmark.evidence.mark_rule import DYNAMIC, MarkDecision, MarkOutcome, MarkRule
from spellmark.evidence.null_pool import as_rows, scored
from spellmark.evidence.random_key_test import smallest_p as random_key_floor
from spellmark.evidence.trigger_pool import PoolControl, pool_digest
from spellmark.evidence.trigger_replay import TriggerDisclosure
from spellmark.evidence.trigger_rule import (
    TRIGGER,
    TriggerDecision,
    TriggerOutcome,
    TriggerRule,
)
from spellmark.evidence.verdicts import INCONCLUSIVE, INDICATIVE, VERIFIED
from spellmark.locks.prompt_lock.parameters import PROMPT, PromptLockParameters
from spellmark.model_files.card import ModelCard
from spellmark.model_files.inspect import inspect_model_file
from spellmark.secrets import KeyFile
from spellmark.suspects.egress import EgressPolicy, check_url
from spellmark.suspects.open_inference import OpenInferenceConfig
from spellmark.watermarks.dynamic.examine import rule_for as guard_rule
from verification.features import check_feature_suspect, feature_pool, feature_rule
from verification.methods import limits
from verification.models import Exchange, Run, Suspect
from verification.references import check_unchanged
from verification.selectors import earlier_registration
from verification.tries import tries_limit
from verification.triggers import hold_triggers, trigger_pool, trigger_rule

RUN_JOB = "verification-run"

USUAL_PROBES, USUAL_QUESTIONS = 64, 256

Rule = DecisionRule | MarkRule | TriggerRule | FingerprintRule


class VerificationError(SpellmarkError):
    """A suspect or run that cannot be made."""


def egress_policy() -> EgressPolicy:
    """Where suspects may be reached: what the operator's settings allow."""
    return EgressPolicy(
        allowed_networks=settings.EGRESS_ALLOWED_NETWORKS,
        timeout_seconds=settings.EGRESS_TIMEOUT_SECONDS,
    )


def suspect_endpoint_create(*, actor: Actor, name: str, config: Mapping[str, Any]) -> Suspect:
    """Name an HTTP endpoint as a suspect.

    Raises VerificationError, SuspectConfigError, SuspectError.
    """
    actor.require(VERIFY)
    OpenInferenceConfig(**config)  # checks it
    check_url(config["url"], egress_policy())
    return _save(
        Suspect(
            organisation=actor.organisation,
            name=name,
            kind=Suspect.Kind.ENDPOINT,
            config=dict(config),
            created_by=actor.name,
        )
    )


def suspect_file_create(
    *, actor: Actor, name: str, chunks: Iterable[bytes], expected_size: int | None = None
) -> Suspect:
    """Take a model file as a suspect. Raises StorageError, ModelFileError, ModelCardError."""
    actor.require(VERIFY)
    with storage.receive(chunks, expected_size=expected_size) as incoming:
        info = inspect_model_file(incoming.path)
        card = ModelCard.from_metadata(info.metadata)
        suspect = Suspect(
            organisation=actor.organisation,
            name=name,
            kind=Suspect.Kind.FILE,
            config={"card": asdict(card)},
            sha256=incoming.sha256,
            created_by=actor.name,
        )
        with transaction.atomic():
            _save(suspect)
            storage.keep(incoming)
    return suspect


def rule_for(
    protection: Protection,
    *,
    method: str = "",
    alpha: float | None = None,
    decoys: int = 999,
    probes: int | None = None,
    batch: int = 1000,
    query_cap: int | None = None,
) -> Rule:
    """The rule of a run with these choices; what is left out is chosen by what can be shown.

    Locks with keyed labels are tested by them, others and those with too few classes by the
    random-key test; guards, trigger watermarks and external features have methods of their own,
    which ask about one input a request.
    `decoys` counts for the random-key test only; `alpha` is the strictest of the usual ones that
    can be reached; a trigger watermark's was committed to; an external feature's is 0.05, since it
    is ranked in the null pool. Raises VerificationError, ProtectionError, DecisionRuleError,
    MarkRuleError, TriggerRuleError, FingerprintRuleError, PoolError.
    """
    if protection.kind == Protection.Kind.FEATURE or method in FEATURES:
        return feature_rule(
            protection, method=method, alpha=alpha, probes=probes, query_cap=query_cap
        )
    if protection.kind == Protection.Kind.TRIGGER or method == TRIGGER:
        return trigger_rule(
            protection, method=method, alpha=alpha, probes=probes, query_cap=query_cap
        )
    if protection.kind == Protection.Kind.DYNAMIC or method == DYNAMIC:
        return _mark_rule(protection, method, alpha, probes, query_cap)
    return _lock_rule(
        protection, method, alpha, decoys, USUAL_PROBES if probes is None else probes, batch,
        query_cap,
    )  # fmt: skip


def _mark_rule(
    protection: Protection,
    method: str,
    alpha: float | None,
    probes: int | None,
    query_cap: int | None,
) -> MarkRule:
    if protection.kind != Protection.Kind.DYNAMIC or method not in ("", DYNAMIC):
        raise VerificationError(
            f"A {protection.kind} and the method “{method}” do not belong together.",
            hint="Leave the method open: then it suits the protection.",
        )
    parameters = guard_parameters(protection.source, protection.commitment)
    asked = USUAL_QUESTIONS if probes is None else probes
    if query_cap is not None and asked > query_cap:
        raise VerificationError(
            f"{asked} questions take {asked} requests, more than the cap of {query_cap}.",
            hint="Ask for fewer probes or a higher cap.",
        )
    choices = {"probes": asked, "clients": 1 + protection.clients.count()}
    if alpha is None:
        loosest = guard_rule(parameters, alpha=MOST_ALPHA, **choices)
        alpha = usual_alpha(loosest.smallest_p)
    return guard_rule(parameters, alpha=alpha, **choices)


def _lock_rule(
    protection: Protection,
    method: str,
    alpha: float | None,
    decoys: int,
    probes: int,
    batch: int,
    query_cap: int | None,
) -> DecisionRule:
    parameters = lock_parameters(protection.source, protection.commitment)
    classes, keyed = card_of(protection.source)["classes"], parameters.labels == "keyed"
    floor = keyed_label_floor(classes, probes, parameters.subkeys) if probes > 0 else 1
    if not method:
        method = KEYED_LABELS if keyed and floor <= MOST_ALPHA else RANDOM_KEY_TEST
    if method == KEYED_LABELS and not keyed:
        raise VerificationError(
            "This lock has plain labels, so its key does not show in them.",
            hint="Use the random-key test.",
        )
    subkeys = parameters.subkeys
    if method == RANDOM_KEY_TEST:
        if isinstance(parameters, PromptLockParameters) and parameters.reading == PROMPT:
            raise VerificationError(
                "A prompt that people chose cannot be ranked among drawn ones.",
                hint="Use keyed labels, or lock the model with a spell.",
            )
        floor, subkeys = random_key_floor(decoys), 1
    else:
        decoys = 0
    requests = probes * -(-(subkeys + decoys) // batch)
    cap = requests if query_cap is None else query_cap
    if requests > cap:
        raise VerificationError(
            f"{probes} probes under {subkeys + decoys} keys take {requests} requests, more than "
            f"the cap of {cap}.",
            hint="Ask for fewer probes, larger batches or a higher cap.",
        )
    return DecisionRule(
        method=method,
        alpha=usual_alpha(floor) if alpha is None else alpha,
        probes=probes,
        query_cap=cap,
        minimum_probes=-(-3 * probes // 4),
        classes=classes,
        subkeys=subkeys,
        decoys=decoys,
    )


@transaction.atomic
def run_create(
    *,
    actor: Actor,
    suspect: Suspect,
    protection: Protection,
    key: KeyFile,
    batch: int = 1000,
    headers: Mapping[str, str] | None = None,
    **choices: Any,
) -> Run:
    """Fix the decision rule (`choices` are those of `rule_for`) and start a run.

    Raises VerificationError and what the parts raise.
    """
    actor.require(VERIFY)
    check_opens(key, protection.commitment)
    index, digest = _registration(protection)
    if protection.kind == Protection.Kind.TRIGGER:
        hold_triggers(protection)
    rule, seed = rule_for(protection, batch=batch, **choices), secrets.token_bytes(32)
    if not isinstance(rule, DecisionRule):
        _check_classes(suspect, rule)
        batch = 1
    pool: list[dict[str, Any]] | None = None
    if isinstance(rule, FingerprintRule):
        against = feature_pool(protection)
        check_feature_suspect(suspect, rule, against)
        check_unchanged(pool_digest(against), rule.pool_sha256)
        pool = as_rows(scored(dict.fromkeys(against), seed))
    elif isinstance(rule, TriggerRule):
        asked = trigger_pool(protection)
        check_unchanged(pool_digest(asked), rule.pool_sha256)
        pool = [asdict(one) for one in asked]
    run_id = uuid.uuid4()
    job = job_create(
        organisation_id=actor.organisation.id,
        kind=RUN_JOB,
        title=f"Verify {suspect}",
        queue="egress" if suspect.kind == Suspect.Kind.ENDPOINT else "gpu",
        payload={"run": str(run_id)},
        created_by=actor.name,
        secret={"key": key.dumps(), "headers": dict(headers or {})},
    )
    return Run.objects.create(
        id=run_id,
        organisation=actor.organisation,
        suspect=suspect,
        protection=protection,
        method=rule.method,
        evidence_class=INDICATIVE if isinstance(rule, FingerprintRule) else VERIFIED,
        rule=asdict(rule),
        smallest_p=rule.smallest_p,
        batch=batch,
        dataset=protection.dataset,
        seed=seed.hex(),
        pool=pool,
        registration_index=index,
        registration_digest=digest,
        job=job,
        created_by=actor.name,
    )


def _check_classes(suspect: Suspect, rule: MarkRule | TriggerRule | FingerprintRule) -> None:
    config = suspect.config
    classes = config["card"]["classes"] if suspect.kind == Suspect.Kind.FILE else config["classes"]
    if classes != rule.classes:
        raise VerificationError(
            f"The suspect tells {classes} classes apart, the protected model {rule.classes}: their "
            "answers cannot be compared.",
            hint="Name the suspect with the number of classes that it has, or choose another "
            "protection.",
        )


def run_rule(run: Run) -> Rule:
    """The decision rule as it was registered."""
    if run.method in RANKED:
        return FingerprintRule(**run.rule)
    kinds: dict[str, type[Rule]] = {DYNAMIC: MarkRule, TRIGGER: TriggerRule}
    rule: Rule = kinds.get(run.method, DecisionRule)(**run.rule)
    return rule


def exchange_intend(*, run: Run, exchange: transcript.Exchange) -> None:
    """Record that a request is about to leave."""
    Exchange.objects.create(
        run=run, number=exchange.number, state=exchange.state, line=asdict(exchange)
    )


def exchange_conclude(*, run: Run, exchange: transcript.Exchange, answer: bytes | None) -> None:
    """Record what came of a request, with the raw answer in the storage.

    Raises LeaseLostError when the request was counted as lost meanwhile: by then the transcript
    may be written, and it never changes.
    """
    if answer is not None:
        storage.put(answer)
    waiting = Exchange.objects.filter(run=run, number=exchange.number, state=Exchange.State.SENT)
    if not waiting.update(state=exchange.state, line=asdict(exchange)):
        raise LeaseLostError


def run_resume(*, run: Run) -> frozenset[int]:
    """The numbers of the requests that were sent, by a worker that was lost or by this one.

    A request without an answer may have reached the suspect, so it counts as lost.
    """
    for exchange in run.exchanges.filter(state=Exchange.State.SENT):
        exchange.state = Exchange.State.LOST
        exchange.line["state"] = Exchange.State.LOST
        exchange.save(update_fields=["state", "line"])
    return frozenset(run.exchanges.values_list("number", flat=True))


def run_grow(*, run: Run, growth: Sequence[float]) -> None:
    """Keep the evidence after each answer so far, for the page of a run that is still asking."""
    Run.objects.filter(id=run.id, verdict="").update(growth=list(growth))


def run_exchanges(run: Run) -> list[transcript.Exchange]:
    """The recorded exchanges in order."""
    return [transcript.Exchange.of(line) for line in run.exchanges.values_list("line", flat=True)]


def run_finish(
    *,
    run: Run,
    job: Job,
    decision: Decision | MarkDecision | TriggerDecision,
    disclosure: Disclosure | MarkDisclosure | TriggerDisclosure,
    suspect_description: Mapping[str, Any],
    pool: PoolControl | None = None,
) -> None:
    """Write the verdict, its transcript and its certificate, and end the job.

    pool: what asking the null pool came to; of trigger watermarks alone.
    """
    exchanges, outcome, counts = run_exchanges(run), decision.outcome, tried(run)
    earlier = earlier_registration(run)
    header = _header(run, disclosure, suspect_description) | {
        "tries": counts,
        "earlierRegistration": earlier,
    }
    transcript_sha256 = storage.put(transcript.write(header, exchanges))
    levels = {exchange.level for exchange in exchanges if exchange.level}

    def record() -> None:
        run.verdict, run.reason = held_against(decision.verdict, decision.reason, earlier)
        run.statistic, run.p_value = outcome.statistic, outcome.p_value
        _keep_outcome(run, outcome)
        if pool is not None:
            run.findings = pool.as_dict()
        if not run.access_level:
            run.access_level = " and ".join(sorted(levels)) or "none"
        run.transcript_sha256 = transcript_sha256
        run.finished_at = timezone.now()
        run.certificate_id = certificate_issue(
            organisation_id=run.organisation_id,
            kind="verdict",
            title=f"{run.suspect}: {run.verdict}",
            statement=_statement(
                run,
                run_rule(run),
                exchanges,
                suspect_description,
                {**counts, "earlierRegistration": earlier},
            ),
        ).id
        run.save()

    job_finish(job=job, record=record)


def _keep_outcome(run: Run, outcome: Outcome | MarkOutcome | TriggerOutcome) -> None:
    if isinstance(outcome, TriggerOutcome):
        run.answered_probes, run.growth = outcome.answered, list(outcome.growth)
        run.access_level = "labels"
        return
    if isinstance(outcome, MarkOutcome):
        run.answered_probes = outcome.answered
        run.growth, run.client = list(outcome.growth), outcome.client
        run.access_level = outcome.access
        return
    run.answered_probes = outcome.answered_probes
    run.hits, run.true_slot = _as_list(outcome.hits), outcome.true_slot
    run.null_distribution = _as_list(outcome.null)


def run_fail(*, run: Run, job: Job, error: SpellmarkError) -> None:
    """End a run that the suspect or the platform broke off: inconclusive, with its transcript."""
    exchanges = run_exchanges(run)
    body = transcript.write(_header(run, None, {"kind": run.suspect.kind}), exchanges)
    transcript_sha256 = storage.put(body)

    def record() -> None:
        run.verdict, run.reason = INCONCLUSIVE, error.message
        # Of a run that did not come to its end, how far it had come says nothing.
        run.growth = None
        run.transcript_sha256, run.finished_at = transcript_sha256, timezone.now()
        run.save()

    job_fail(job=job, error=error.message, hint=error.hint, record=record)


def _registration(protection: Protection) -> tuple[int, str]:
    """Where the protection's registration stands in the log: it must stand before a run starts."""
    if protection.registration_certificate_id is None:
        raise VerificationError(
            "This protection is not finished.", hint="Wait for its job, then start the run."
        )
    clients = protection.clients.values_list("certificate_id", flat=True)
    certificates = Certificate.objects.in_bulk([protection.registration_certificate_id, *clients])
    entries = {id_: certificate_entry_of(one) for id_, one in certificates.items()}
    entry = entries[protection.registration_certificate_id]
    if entry is None or None in entries.values():
        raise VerificationError(
            "The protection's registration, or a client's, is not in the log yet.",
            hint="It takes a few seconds; then start the run.",
        )
    return entry.index, certificates[protection.registration_certificate_id].digest


def _header(
    run: Run,
    disclosure: Disclosure | MarkDisclosure | TriggerDisclosure | None,
    suspect_description: Mapping[str, Any],
) -> dict[str, Any]:
    """The transcript's first line. What it tells of the key is told when all answers are in."""
    header = {
        "run": str(run.id),
        "method": run.method,
        **committed(run),
        "dataset": run.dataset,
        "suspect": dict(suspect_description),
        "rule": run.rule,
        "batch": run.batch,
        "seed": run.seed,
    }
    if isinstance(disclosure, MarkDisclosure | TriggerDisclosure):
        return header | disclosure.as_dict()
    return header | {"labels": disclosure.labels if disclosure else None}


def committed(run: Run) -> dict[str, Any]:
    """What the run rests on: the commitment of its protection, or a fingerprint's version."""
    if run.protection is None:
        assert run.version is not None
        return {"version": run.version.root_digest}
    commitment = run.protection.commitment
    return {
        "scheme": commitment.scheme,
        "parameters": commitment.parameters,
        "commitment": commitment.digest,
        "binding": commitment.binding,
    }


def _statement(
    run: Run,
    rule: Rule,
    exchanges: Sequence[transcript.Exchange],
    suspect_description: Mapping[str, Any],
    told: Mapping[str, int | None],
) -> Verdict:
    assert run.protection is not None
    assert run.finished_at is not None
    commitment = run.protection.commitment
    return Verdict(
        model_digest=run.owners.root_digest,
        transcript_digest=run.transcript_sha256,
        suspect=dict(suspect_description),
        method=run.method,
        scheme=commitment.scheme,
        parameters={
            **rested_on(run),
            **told,
            "classes": rule.classes,
            "minimumProbes": rule.minimum_probes,
            "answeredProbes": run.answered_probes,
            "queryCap": rule.query_cap,
            **_client_told(run),
            **_root_told(run, rule),
        },
        evidence_class=run.evidence_class,
        statistic=run.statistic,
        p_value=run.p_value,
        alpha=rule.alpha,
        smallest_p=run.smallest_p,
        decoys=rule.decoys if isinstance(rule, DecisionRule) else 0,
        probes=rule.probes,
        queries=transcript.count_queries(exchanges),
        access_level=run.access_level,
        verdict=run.verdict,
        reason=run.reason,
        registration_index=run.registration_index,
        registration_digest=run.registration_digest,
        started_at=run.created_at,
        finished_at=run.finished_at,
        limits=(*limits(run.method), *tries_limit(run.method, told, run.p_value)),
    )


def tried(run: Run) -> dict[str, int]:
    """How often the run's owner could have tried for a result (see Tries).

    All runs of the organisation count: a model that was registered again, or another key, makes
    nobody a beginner.
    """
    earlier = Run.objects.filter(
        organisation=run.organisation_id, created_at__lt=run.created_at
    ).count()
    if run.protection is None:
        return {"earlierRuns": earlier}
    return {
        "ownerCommitments": Commitment.objects.filter(
            version__model__organisation=run.organisation_id
        ).count(),
        "protectionsOfKey": run.protection.commitment.protections.count(),
        "earlierRuns": earlier,
    }


def rested_on(run: Run) -> dict[str, Any]:
    """The commitment that a run rests on, as certificates name it; nothing without one."""
    if run.protection is None:
        return {}
    commitment = run.protection.commitment
    return {
        **commitment.parameters,
        "commitment": commitment.digest,
        "binding": commitment.binding,
    }


def _client_told(run: Run) -> dict[str, str]:
    """Whose key fits best, and where it was committed to."""
    if not run.client or run.protection is None:
        return {}
    client = run.protection.clients.get(name=run.client)
    return {
        "client": client.name,
        "clientCommitment": client.commitment,
        "clientBinding": client.binding,
    }


def _root_told(run: Run, rule: Rule) -> dict[str, Any]:
    """What the triggers were registered under, how the false-positive rate is shared out, and what
    the null pool said.
    """
    if not isinstance(rule, TriggerRule):
        return {}
    return {
        "owner": str(run.organisation_id),
        "triggerRoot": run.protection.settings["root"],
        "registrationNumber": rule.registration,
        "runNumber": rule.run,
        "nullPool": run.findings,
    }


def _as_list(values: Sequence[float] | None) -> list[float] | None:
    return None if values is None else list(values)


def _save(suspect: Suspect) -> Suspect:
    validate(suspect, VerificationError)
    suspect.save()
    return suspect
