"""What makes runs by fingerprint, and records what came of them."""

import secrets
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from django.db import transaction
from django.utils import timezone

from accounts.actors import VERIFY, Actor
from jobs.models import Job
from jobs.services import job_create, job_finish
from ledger.models import Certificate
from ledger.selectors import certificate_entry_of
from ledger.services import certificate_issue
from registry import storage
from registry.models import Version
from spellmark.certificates.statements import Verdict
from spellmark.evidence import fingerprint_told, transcript
from spellmark.evidence.earlier import held_against
from spellmark.evidence.feature_replay import FeatureDisclosure
from spellmark.evidence.fingerprint_replay import FingerprintDisclosure
from spellmark.evidence.fingerprint_rule import (
    AGREEMENT,
    CORRELATION,
    FEATURE,
    FEATURES,
    LEAST_PROBES,
    MOST_ALPHA,
    WEIGHTS,
    WRONG,
    FingerprintDecision,
    FingerprintRule,
)
from spellmark.evidence.fingerprint_scores import COSINE
from spellmark.evidence.null_pool import Reference, as_rows, digest, scored
from spellmark.evidence.verdicts import INDICATIVE
from verification.methods import limits
from verification.models import Run, Suspect
from verification.references import card_of_version, check_unchanged, fewest_of_a_kind, pool_of
from verification.selectors import earlier_registration
from verification.services import (
    RUN_JOB,
    VerificationError,
    committed,
    rested_on,
    run_exchanges,
    tried,
)
from verification.tries import tries_limit

SCHEME = "fingerprint/v1"
USUAL_FINGERPRINT_PROBES = 400


def fingerprint_rule_for(
    version: Version,
    dataset: str,
    *,
    method: str,
    alpha: float | None = None,
    probes: int | None = None,
    variant: str = WRONG,
    kernel: str = COSINE,
    query_cap: int | None = None,
) -> FingerprintRule:
    """The rule of a run with these choices, over the null pool as it stands now.

    alpha: 0.05 unless it is said otherwise. Raises PoolError, FingerprintRuleError and
    VerificationError.
    """
    pool = pool_of(version, dataset, comparable=method == WEIGHTS)
    asked = USUAL_FINGERPRINT_PROBES if probes is None else probes
    if query_cap is not None and method != WEIGHTS and asked > query_cap:
        raise VerificationError(
            f"{asked} probes take {asked} requests, more than the cap of {query_cap}.",
            hint="Ask for fewer probes or a higher cap.",
        )
    return FingerprintRule(
        method=method,
        alpha=MOST_ALPHA if alpha is None else alpha,
        of_a_kind=fewest_of_a_kind(pool, comparable=method == WEIGHTS),
        pool_sha256=digest(pool),
        probes=asked,
        minimum_probes=min(asked, max(LEAST_PROBES, asked // 4)),
        variant=variant,
        kernel=kernel,
        classes=card_of_version(version).classes,
    )


@transaction.atomic
def fingerprint_run_create(
    *,
    actor: Actor,
    suspect: Suspect,
    version: Version,
    dataset: str,
    headers: Mapping[str, str] | None = None,
    **choices: Any,
) -> Run:
    """Fix the rule and the pool (`choices` are those of `fingerprint_rule_for`) and start a run.

    Raises VerificationError and what the parts raise.
    """
    actor.require(VERIFY)
    index, registration = _registration(version)
    rule = fingerprint_rule_for(version, dataset, **choices)
    nonce = secrets.token_bytes(32)
    pool = pool_of(version, dataset, comparable=rule.method == WEIGHTS)
    check_unchanged(digest(pool), rule.pool_sha256)
    _check_suspect(suspect, rule, pool)
    run_id = uuid.uuid4()
    is_endpoint = suspect.kind == Suspect.Kind.ENDPOINT
    job = job_create(
        organisation_id=actor.organisation.id,
        kind=RUN_JOB,
        title=f"Compare {suspect} with {version}",
        queue="egress" if is_endpoint else "gpu",
        payload={"run": str(run_id)},
        created_by=actor.name,
        secret={"headers": dict(headers or {})},
    )
    return Run.objects.create(
        id=run_id,
        organisation=actor.organisation,
        suspect=suspect,
        version=version,
        method=rule.method,
        evidence_class=INDICATIVE,
        rule=asdict(rule),
        smallest_p=rule.smallest_p,
        batch=1,
        dataset=dataset,
        seed=nonce.hex(),
        registration_index=index,
        registration_digest=registration,
        pool=as_rows(scored(dict.fromkeys(pool), nonce)),
        job=job,
        created_by=actor.name,
    )


def fingerprint_run_finish(
    *,
    run: Run,
    job: Job,
    decision: FingerprintDecision,
    disclosure: FingerprintDisclosure | FeatureDisclosure,
    owner_accuracy: float,
    findings: dict[str, Any],
    suspect_description: Mapping[str, Any],
) -> None:
    """Write the verdict, its transcript and its certificate, and end the job.

    owner_accuracy: of the owner's model on test images, in [0, 1].
    """
    able = {"ownerAccuracy": round(owner_accuracy, 4)}
    exchanges, outcome, counts = run_exchanges(run), decision.outcome, tried(run)
    earlier = earlier_registration(run)
    header = {
        **fingerprint_header(run, suspect_description),
        "tries": counts,
        "earlierRegistration": earlier,
        **disclosure.as_dict(),
    }
    transcript_sha256 = storage.put(transcript.write(header, exchanges))

    def record() -> None:
        run.verdict, run.reason = held_against(decision.verdict, decision.reason, earlier)
        run.score, run.p_value = outcome.score, outcome.p_value
        run.answered_probes = outcome.answered
        run.access_level = outcome.access
        run.pool = as_rows(scored(disclosure.pool, disclosure.nonce))
        run.findings = {**findings, **able, **fingerprint_told.findings(outcome)}
        run.transcript_sha256, run.finished_at = transcript_sha256, timezone.now()
        run.certificate_id = certificate_issue(
            organisation_id=run.organisation_id,
            kind="verdict",
            title=f"{run.suspect}: {run.verdict} ({INDICATIVE})",
            statement=_statement(
                run,
                exchanges,
                suspect_description,
                {
                    **counts,
                    **able,
                    "earlierRegistration": earlier,
                    **fingerprint_told.certified(
                        FingerprintRule(**run.rule), outcome, disclosure.pool
                    ),
                },
            ),
        ).id
        run.save()

    job_finish(job=job, record=record)


def fingerprint_header(run: Run, suspect_description: Mapping[str, Any]) -> dict[str, Any]:
    """The transcript's first line, as far as it was fixed before the suspect was asked."""
    return {
        "run": str(run.id),
        "method": run.method,
        "scheme": SCHEME,
        "version": run.owners.root_digest,
        **(committed(run) if run.protection else {}),
        "dataset": run.dataset,
        "suspect": dict(suspect_description),
        "rule": run.rule,
        "batch": run.batch,
        "seed": run.seed,
    }


def next_best(run: Run) -> tuple[str, str] | None:
    """The method to try after one that did not decide, and why; None where none is left.

    An empty method stands for those that need a protection.
    """
    if run.verdict != Run.Verdict.INCONCLUSIVE or earlier_registration(run) is not None:
        return None
    void = bool((run.findings or {}).get("void"))
    if run.method == FEATURE and run.suspect.kind == Suspect.Kind.FILE and not void:
        return WEIGHTS, "The suspect is a file: its weights can be compared layer by layer."
    if run.method in FEATURES:
        return AGREEMENT, "It needs no style in the copy, only that both err alike."
    if run.method == WEIGHTS:
        return CORRELATION, "It compares answers, so the suspect's architecture does not matter."
    if run.method == CORRELATION:
        return AGREEMENT, "It needs labels alone, and fails in other ways than the correlation."
    if run.method == AGREEMENT and not void and "probabilities" in run.access_level:
        return CORRELATION, "The suspect shows probabilities, which tell more than labels."
    if run.method == AGREEMENT and run.suspect.kind == Suspect.Kind.FILE:
        return WEIGHTS, "The suspect is a file: its weights can be compared layer by layer."
    if run.evidence_class == INDICATIVE:
        return "", (
            "Only a key decides what fingerprints cannot: a lock or a watermark that stood on the "
            "model before it was copied."
        )
    return AGREEMENT, (
        "It needs no mark in the copy, only that both err alike. It is a lead, not a proof."
    )


def _registration(version: Version) -> tuple[int, str]:
    """Where the version's registration stands in the log: before a run starts."""
    certificate = Certificate.objects.filter(id=version.certificate_id).first()
    entry = certificate_entry_of(certificate) if certificate else None
    if certificate is None or entry is None:
        raise VerificationError(
            "The version's registration is not in the log yet.",
            hint="Publish the version; a few seconds later the run can start.",
        )
    return entry.index, certificate.digest


def _check_suspect(suspect: Suspect, rule: FingerprintRule, pool: Mapping[Reference, Any]) -> None:
    is_file = suspect.kind == Suspect.Kind.FILE
    if rule.method == WEIGHTS and not is_file:
        raise VerificationError(
            "This suspect is a service, whose weights nobody sees.",
            hint="Choose agreement or correlation, which compare answers.",
        )
    if is_file and any(one.sha256 == suspect.sha256 for one in pool):
        raise VerificationError(
            "This very file stands in the null pool, as a model that is known to be innocent.",
            hint="A model cannot be both. Remove the suspect, or grow the pool without it.",
        )
    config = suspect.config
    classes = config["card"]["classes"] if is_file else config["classes"]
    if rule.method == AGREEMENT and classes != rule.classes:
        raise VerificationError(
            f"The suspect tells {classes} classes apart, the owner's model {rule.classes}: whether "
            "they agree cannot be told.",
            hint="Choose the correlation, which compares models of different classes.",
        )


def _statement(
    run: Run,
    exchanges: Sequence[transcript.Exchange],
    suspect_description: Mapping[str, Any],
    told: Mapping[str, Any],
) -> Verdict:
    assert run.finished_at is not None
    rule = FingerprintRule(**run.rule)
    return Verdict(
        model_digest=run.owners.root_digest,
        transcript_digest=run.transcript_sha256,
        suspect=dict(suspect_description),
        method=run.method,
        scheme=run.protection.commitment.scheme if run.protection else SCHEME,
        parameters={**rested_on(run), "dataset": run.dataset, **told},
        evidence_class=INDICATIVE,
        statistic=run.score,
        p_value=run.p_value,
        alpha=rule.alpha,
        smallest_p=run.smallest_p,
        decoys=0,
        probes=rule.query_cap,
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
