"""What is stored and signed about a run, as far as the protocol asks for it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Min

from disputes.models import Lodged, Retest, Share
from disputes.registration import read_genuine, run_registration
from disputes.standing import EARLIER, standing_of
from ledger.genuine import Genuine
from ledger.models import Certificate
from registry import storage
from spellmark.certificates.statements import Registration, Verdict
from spellmark.errors import SpellmarkError
from spellmark.evidence.trigger_rule import TRIGGER
from verification.models import Run, Suspect
from verification.tries import Tries


@dataclass(frozen=True, kw_only=True)
class Facts:
    """A run's facts. Certificates are read from their signed bytes; None where one does not hold.

    problem: why a certificate does not hold, empty where both do or none is due. asked_at: the
    first request, or when the run was made. asked: requests. undigested: answers and requests
    without a digest. suspect_url: of an endpoint, as it was signed. tls_certificates: digests of
    those under which it answered, None for an answer without one. classes_seen: different classes
    among the answers. transcript_holds: it is kept, and its SHA-256 is the one that was signed.
    pool: its models' rows. tries: 1 for the first. opened_twice: triggers that an earlier run had
    opened. told_before: earlier runs whose transcripts tell of this key. invited_at, opened_at:
    when the accused were given access to the case, and when they first used it. answers, retests:
    how often they did. beaten: how it is known that their registration is earlier, empty where it
    is not.
    """

    method: str
    evidence_class: str
    is_over: bool
    registration: Genuine | None
    verdict: Genuine | None
    problem: str
    asked_at: datetime
    suspect_kind: str
    suspect_sha256: str
    suspect_classes: int | None
    rule: Mapping[str, Any]
    asked: int
    answered: int
    undigested: int
    classes_seen: int
    transcript_holds: bool
    report_card: Mapping[str, Any]
    suspect_url: str = ""
    tls_certificates: frozenset[str | None] = frozenset()
    root: str = ""
    pool: tuple[Mapping[str, Any], ...] = ()
    findings: Mapping[str, Any] = field(default_factory=dict)
    tries: int = 1
    opened_twice: int = 0
    told_before: int = 0
    invited_at: datetime | None = None
    opened_at: datetime | None = None
    answers: int = 0
    retests: int = 0
    beaten: str = ""

    @property
    def registered(self) -> Registration | None:
        """What the registration says."""
        found = self.registration.statement if self.registration else None
        return found if isinstance(found, Registration) else None

    @property
    def signed(self) -> Verdict | None:
        """What the verdict's certificate says."""
        found = self.verdict.statement if self.verdict else None
        return found if isinstance(found, Verdict) else None


def protocol_facts(run: Run) -> Facts:
    """The facts of one run."""
    problems: list[str] = []
    registration = run_registration(run, problems)
    verdict = _verdict(run, registration, problems)
    lines = list(run.exchanges.values_list("line", flat=True))
    answered = [line for line in lines if line["state"] == "answered"]
    config = run.suspect.config
    is_file = run.suspect.kind == Suspect.Kind.FILE
    signed = verdict.statement if verdict else None
    return Facts(
        method=run.method,
        evidence_class=run.evidence_class,
        is_over=run.job.is_over,
        registration=registration,
        verdict=verdict,
        problem=" ".join(problems),
        asked_at=run.exchanges.aggregate(first=Min("at"))["first"] or run.created_at,
        suspect_kind=run.suspect.kind,
        suspect_sha256=run.suspect.sha256,
        suspect_classes=(config.get("card", {}) if is_file else config).get("classes"),
        rule=run.rule,
        asked=len(lines),
        answered=len(answered),
        undigested=sum(not line["request_sha256"] for line in lines)
        + sum(not line["answer_sha256"] for line in answered),
        classes_seen=len({label for line in answered for label in line["labels"]}),
        transcript_holds=_transcript_holds(run, signed),
        report_card=(run.protection.report_card or {}) if run.protection else {},
        suspect_url=signed.suspect.get("url", "") if isinstance(signed, Verdict) else "",
        tls_certificates=frozenset(line.get("tls_certificate_sha256") for line in answered),
        root=run.protection.settings.get("root", "") if run.protection else "",
        pool=tuple(run.pool or ()),
        findings=run.findings or {},
        tries=_tries(signed),
        **_heard(run),
        **_before(run, {line["image_index"] for line in lines}),
    )


def _verdict(run: Run, registration: Genuine | None, problems: list[str]) -> Genuine | None:
    row = Certificate.objects.filter(id=run.certificate_id).first() if run.certificate_id else None
    found = read_genuine(row, "verdict", problems) if row else None
    said = found.statement if found else None
    if found is None or not isinstance(said, Verdict):
        return None
    if (said.verdict, said.p_value, said.alpha) != (run.verdict, run.p_value, run.rule["alpha"]):
        problems.append("The run’s record says something else than its certificate.")
    elif registration is not None and (said.registration_index, said.registration_digest) != (
        registration.index, registration.digest,
    ):  # fmt: skip
        problems.append("The verdict’s certificate rests on another registration.")
    elif found.revoked:
        problems.append("The verdict’s certificate was revoked.")
    else:
        return found
    return None


def _transcript_holds(run: Run, signed: object) -> bool:
    if not isinstance(signed, Verdict) or signed.transcript_digest != run.transcript_sha256:
        return False
    try:
        body = storage.get(run.transcript_sha256)
    except SpellmarkError:
        return False
    return hashlib.sha256(body).hexdigest() == signed.transcript_digest


def _tries(signed: object) -> int:
    """What the certificate counts."""
    return Tries.of(signed.parameters).count if isinstance(signed, Verdict) else 1


def _heard(run: Run) -> dict[str, Any]:
    """What those who are accused were given, and what they did with it."""
    shares = Share.objects.filter(case__runs=run)
    times = shares.aggregate(invited_at=Min("created_at"), opened_at=Min("opened_at"))
    lodged = Lodged.objects.filter(case__runs=run).select_related("organisation")
    standings = [standing_of(one, [run]) for one in lodged]
    beaten = [
        comparison.how
        for one in standings
        for comparison in one.comparisons
        if comparison.outcome == EARLIER
    ]
    return {
        **times,
        "answers": len(standings),
        "retests": Retest.objects.filter(run=run).count(),
        "beaten": " ".join(beaten[:1]),
    }


def _before(run: Run, asked: set[int]) -> dict[str, int]:
    """What earlier runs under the same key had opened or told."""
    if run.protection is None:
        return {}
    earlier = Run.objects.filter(
        protection__commitment=run.protection.commitment_id, created_at__lt=run.created_at
    )
    told = earlier.exclude(certificate_id=None).count()
    if run.method != TRIGGER:
        return {"told_before": told}
    opened = set(
        earlier.exclude(exchanges=None).values_list("exchanges__line__image_index", flat=True)
    )
    return {"told_before": told, "opened_twice": len(asked & opened)}
