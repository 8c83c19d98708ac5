"""What every run has: a record that outlives a crash, and the suspect that a row describes."""

from django.db import transaction

from jobs.models import Job
from jobs.services import job_hold
from registry import storage
from spellmark.evidence import transcript
from spellmark.suspects.base import Suspect
from spellmark.suspects.model_file import ModelFile
from spellmark.suspects.open_inference import OpenInference, OpenInferenceConfig
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


def suspect_of(row: SuspectRow, headers: dict[str, str], *, batch: int) -> Suspect:
    """The suspect that a row describes."""
    if row.kind == SuspectRow.Kind.FILE:
        return ModelFile(storage.path_of(row.sha256))
    config = OpenInferenceConfig(**row.config, headers=headers, batch_size=batch)
    return OpenInference(config, services.egress_policy())
