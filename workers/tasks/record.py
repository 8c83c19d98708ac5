"""What every run has: a suspect that is asked, and a record of it that outlives a crash."""

from collections.abc import Callable, Iterable
from typing import Any

from django.db import transaction

from jobs.models import Job
from jobs.services import job_hold
from registry import storage
from spellmark.evidence import transcript
from spellmark.evidence.conduct import Questions, conduct
from spellmark.suspects.base import Suspect, SuspectError
from spellmark.suspects.model_file import ModelFile
from spellmark.suspects.open_inference import OpenInference, OpenInferenceConfig
from tasks.work import Work
from verification import services
from verification.models import Run
from verification.models import Suspect as SuspectRow


class Record:
    """Keeps exchanges in the database and raw answers in the storage."""

    def __init__(self, run: Run, job: Job) -> None:
        self.run, self.job = run, job

    def intend(self, exchange: transcript.Exchange) -> None:
        """Before the request leaves; a worker that lost the job sends nothing more."""
        with transaction.atomic():
            job_hold(job=self.job)
            services.exchange_intend(run=self.run, exchange=exchange)

    def conclude(self, exchange: transcript.Exchange, answer: bytes | None) -> None:
        """When the answer is here."""
        services.exchange_conclude(run=self.run, exchange=exchange, answer=answer)


def ask(
    run: Run,
    work: Work,
    headers: dict[str, str],
    questions: Questions,
    *,
    enough: Callable[[transcript.Exchange], bool] = lambda exchange: False,
) -> tuple[list[transcript.Exchange], dict[str, Any]]:
    """Put the questions to the run's suspect; where a worker was lost, those that are left.

    enough: is shown every answered exchange, a lost worker's too, and says whether to stop.
    Returns all exchanges and what the suspect is. Raises SuspectError where none was answered.
    """
    suspect = _suspect_of(run.suspect, headers, batch=questions.batch)
    already, is_enough = services.run_resume(run=run), False
    if already:
        work.log(f"taken up after {len(already)} of at most {questions.requests} requests")
    for exchange in services.run_exchanges(run):
        if exchange.state == "answered":
            is_enough = enough(exchange)
    if not is_enough:
        conduct(
            suspect, questions, Record(run, work.job), already=already, enough=enough,
            progress=work.progress,
        )  # fmt: skip
    work.check()
    exchanges = services.run_exchanges(run)
    if not any(exchange.state == "answered" for exchange in exchanges):
        raise no_usable_answer()
    return exchanges, described(suspect, exchanges)


def described(suspect: Suspect, exchanges: Iterable[transcript.Exchange]) -> dict[str, Any]:
    """What a certificate says of the suspect: an endpoint also by the TLS certificates seen."""
    told = suspect.describe()
    if "url" not in told:
        return told
    seen = {one.tls_certificate_sha256 for one in exchanges if one.tls_certificate_sha256}
    return {**told, "tlsCertificates": sorted(seen)}


def no_usable_answer() -> SuspectError:
    """What a run ends with whose suspect said nothing that tells anything."""
    return SuspectError(
        "The suspect gave no usable answer.", kind="bad-answer", hint="Check its address."
    )


def _suspect_of(row: SuspectRow, headers: dict[str, str], *, batch: int) -> Suspect:
    if row.kind == SuspectRow.Kind.FILE:
        return ModelFile(storage.path_of(row.sha256))
    config = OpenInferenceConfig(**row.config, headers=headers, batch_size=batch)
    return OpenInference(config, services.egress_policy())
