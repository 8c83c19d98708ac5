"""The evidence of a case's runs, checked, and the zip in which it is handed over."""

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from ledger.models import Certificate
from ledger.selectors import certificate_bundle, trust
from registry import storage
from spellmark.certificates.bundle import Bundle
from spellmark.certificates.statements import Verdict
from spellmark.certificates.verify import VerificationReport, verify_files
from spellmark.errors import SpellmarkError
from spellmark.evidence import transcript
from verification.models import Run
from verification.selectors import run_bundle
from verification.services import run_exchanges


class EvidenceError(SpellmarkError):
    """Evidence that no report can be built on."""


@dataclass(frozen=True)
class RunEvidence:
    """What backs one run of a case.

    `bundle`, `checks` and `registration` are None for a run that reached no verdict; its
    `transcript` is None too if it never asked anything.
    """

    number: int
    run: Run
    bundle: Bundle | None
    checks: VerificationReport | None
    registration: Bundle | None
    transcript: bytes | None

    @property
    def folder(self) -> str:
        """Its folder in the zip."""
        return f"runs/{self.number}-{self.run.id.hex[:8]}"

    @property
    def verdict(self) -> Verdict | None:
        """What the run's certificate says."""
        statement = self.checks.statement if self.checks else None
        return statement if isinstance(statement, Verdict) else None

    def files(self) -> dict[str, bytes]:
        """Its files by their names in the zip."""
        files = {}
        if self.bundle is not None:
            files["bundle.zip"] = self.bundle.dumps()
        elif self.transcript is not None:
            files["transcript.jsonl"] = self.transcript
        if self.registration is not None:
            files["registration.zip"] = self.registration.dumps()
        return {f"{self.folder}/{name}": data for name, data in files.items()}


def run_evidence(number: int, run: Run) -> RunEvidence:
    """The evidence of a run that is over. Raises EvidenceError, NotYetLoggedError, StorageError."""
    if not run.job.is_over:
        raise EvidenceError(
            f"Run {number} of this case is still going on.", hint="Wait for it, or cancel it."
        )
    if run.certificate_id is None:
        return RunEvidence(number, run, None, None, None, _transcript(run))
    bundle = run_bundle(run)
    checks = verify_files(bundle, trust())
    evidence = RunEvidence(
        number, run, bundle, checks, _registration_bundle(run), bundle.transcript
    )
    _refuse_doubtful(evidence, checks)
    return evidence


def pack(files: Mapping[str, bytes], *, at: datetime) -> bytes:
    """A zip of these files, dated `at`, by name; the same files give the same bytes."""
    buffer = io.BytesIO()
    # Stored, not deflated: another zlib would give other bytes.
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            info = zipfile.ZipInfo(name, date_time=at.astimezone(UTC).timetuple()[:6])
            info.create_system = 3
            info.external_attr = 0o100644 << 16
            archive.writestr(info, files[name])
    return buffer.getvalue()


def _refuse_doubtful(evidence: RunEvidence, checks: VerificationReport) -> None:
    """No report states what an outsider's check would deny."""
    run, verdict = evidence.run, evidence.verdict
    failed = [check.detail for check in checks.checks if check.passed is False]
    if failed or not checks.passed or verdict is None:
        raise EvidenceError(
            f"The evidence of run {evidence.number} does not verify: {' '.join(failed)}",
            hint="Restore the database and the storage from their backups.",
        )
    if (run.verdict, run.p_value, run.rule["alpha"]) != (
        verdict.verdict,
        verdict.p_value,
        verdict.alpha,
    ):
        raise EvidenceError(
            f"The record of run {evidence.number} says something else than its certificate.",
            hint="Restore the database from its backup.",
        )


def _registration_bundle(run: Run) -> Bundle:
    return certificate_bundle(Certificate.objects.get(digest=run.registration_digest))


def _transcript(run: Run) -> bytes | None:
    if run.transcript_sha256:
        return storage.get(run.transcript_sha256)
    # A run that was cancelled or lost its worker wrote none, but what it asked is on record.
    exchanges = run_exchanges(run)
    if not exchanges:
        return None
    header = {"run": str(run.id), "method": run.method, "rule": run.rule, "seed": run.seed}
    return transcript.write(header, exchanges)
