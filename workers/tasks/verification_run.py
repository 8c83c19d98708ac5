"""The run job: ask the suspect, rank the true key among the decoys, write the verdict."""

from django.db import transaction

from jobs.models import Job
from jobs.sealing import unseal
from jobs.services import job_hold
from protection.services import lock_geometry
from registry import storage
from spellmark.errors import SpellmarkError
from spellmark.evidence import conduct, keyed_probes, transcript
from spellmark.evidence.decision import decide
from spellmark.locks.key_lock.transforms import from_key_file
from spellmark.secrets import KeyFile
from spellmark.suspects.base import Suspect, SuspectError
from spellmark.suspects.model_file import ModelFile
from spellmark.suspects.open_inference import OpenInference, OpenInferenceConfig
from spellmark.training import datasets
from tasks.key_lock import check_fits
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


def run(work: Work) -> None:
    """Verify the run's suspect against its protection."""
    run = Run.objects.select_related(
        "suspect",
        "organisation",
        "protection__source__model",
        "protection__commitment",
        "protection__result__model",
    ).get(job=work.job)
    try:
        _verify(run, work)
    except SpellmarkError as error:
        services.run_fail(run=run, job=work.job, error=error)


def _verify(run: Run, work: Work) -> None:
    rule, seed = services.run_rule(run), bytes.fromhex(run.seed)
    sealed = unseal(work.job)
    commitment = run.protection.commitment
    geometry = lock_geometry(run.protection.source, commitment)
    true = from_key_file(
        KeyFile.loads(sealed["key"]), binding=bytes.fromhex(commitment.binding), geometry=geometry
    )
    data = datasets.load(run.dataset)
    card = run.protection.source.card
    check_fits(data, card["classes"], (geometry.channels, geometry.height, geometry.width))
    indices = keyed_probes.choose_probes(seed, available=len(data.test), wanted=rule.probes)
    questions = conduct.Questions(
        probes=datasets.Split(data.test.images[indices], data.test.labels[indices]),
        image_indices=indices,
        slots=keyed_probes.hide(true, seed=seed, decoys=rule.decoys, geometry=geometry),
        batch=run.batch,
    )
    suspect = build(run.suspect, sealed["headers"], batch=run.batch)
    already = services.run_resume(run=run)
    if already:
        work.log(f"taken up after {len(already)} of {questions.requests} requests")
    conduct.conduct(
        suspect, questions, Record(run, work.job), already=already, progress=work.progress
    )
    work.check()
    exchanges = services.run_exchanges(run)
    if not any(exchange.state == "answered" for exchange in exchanges):
        raise SuspectError(
            "The suspect gave no usable answer.", kind="bad-answer", hint="Check its address."
        )
    services.run_finish(
        run=run,
        job=work.job,
        decision=decide(rule, exchanges, questions.slots.true),
        true_slot=questions.slots.true,
        suspect_description=suspect.describe(),
    )


def build(row: SuspectRow, headers: dict[str, str], *, batch: int) -> Suspect:
    """The suspect that a row describes."""
    if row.kind == SuspectRow.Kind.FILE:
        return ModelFile(storage.path_of(row.sha256))
    config = OpenInferenceConfig(**row.config, headers=headers, batch_size=batch)
    return OpenInference(config, services.egress_policy())
