"""The one task for all jobs: claim, run, end."""

import logging
from collections.abc import Callable
from uuid import UUID

from celery import shared_task

from disputes.services import REPORT_JOB
from jobs import services
from protection.editors import EDITOR_JOB
from protection.false_claims import FALSE_CLAIMS_JOB
from protection.features import FEATURE_JOB
from protection.guards import GUARD_JOB
from protection.services import (
    ATTACKS_JOBS,
    LOCK_JOB,
    PROMPT_LOCK_JOB,
    REMOVAL_JOB,
    THEFT_JOB,
    TRIAL_JOB,
    trials_forget,
)
from protection.triggers import TRIGGER_JOB
from protection.unlocks import UNLOCK_JOB, unlocks_forget
from spellmark.errors import SpellmarkError
from tasks import (
    attacks,
    editor_training,
    false_claims,
    feature,
    guard,
    lock,
    pool_growth,
    removal,
    report,
    spell_trial,
    theft,
    trigger,
    unlock,
    verification_run,
)
from tasks.work import Work
from verification.references import POOL_JOB
from verification.services import RUN_JOB

logger = logging.getLogger("spellmark.work")

HANDLERS: dict[str, Callable[[Work], None]] = {
    LOCK_JOB: lock.run,
    PROMPT_LOCK_JOB: lock.run,
    TRIAL_JOB: spell_trial.run,
    **dict.fromkeys(ATTACKS_JOBS.values(), attacks.run),
    THEFT_JOB: theft.run,
    REMOVAL_JOB: removal.run,
    FALSE_CLAIMS_JOB: false_claims.run,
    EDITOR_JOB: editor_training.run,
    UNLOCK_JOB: unlock.run,
    GUARD_JOB: guard.run,
    TRIGGER_JOB: trigger.run,
    FEATURE_JOB: feature.run,
    RUN_JOB: verification_run.run,
    POOL_JOB: pool_growth.run,
    REPORT_JOB: report.run,
}


@shared_task(name="tasks.run_job")
def run_job(job_id: str) -> None:
    """Run a job if it waits for a worker; a message that comes twice does nothing."""
    job = services.job_claim(job_id=UUID(job_id))
    if job is None:
        return
    with Work(job) as work:
        try:
            HANDLERS[job.kind](work)
        except services.CancelledError:
            services.job_stop(job=job)
        except services.LeaseLostError:
            logger.warning("job %s was taken up by another worker", job.id)
        except SpellmarkError as error:
            services.job_fail(job=job, error=error.message, hint=error.hint)
        except Exception:
            logger.exception("job %s failed", job.id)
            services.job_fail(
                job=job,
                error="The job stopped on an error that is not yours.",
                hint=f"The operator finds it in the worker's log under {job.id}.",
            )


@shared_task(name="tasks.jobs_sweep")
def jobs_sweep() -> None:
    """Take up lost jobs, and forget what nobody looks at any more."""
    services.jobs_sweep()
    trials_forget()
    unlocks_forget()
