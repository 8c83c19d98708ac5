"""Celery tasks: claim a job, call the library, record what came back."""

from tasks.ledger import ledger_sequence
from tasks.run_job import jobs_sweep, run_job

__all__ = ["jobs_sweep", "ledger_sequence", "run_job"]
