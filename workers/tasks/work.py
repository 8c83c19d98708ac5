"""A worker's hold on a job: lease, heartbeat, progress, cancellation, a folder of its own."""

import logging
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from django.conf import settings
from django.db import DatabaseError, connection

from jobs.models import Job
from jobs.services import CancelledError, LeaseLostError, job_log, job_progress, job_renew

logger = logging.getLogger("spellmark.work")
PROGRESS_SECONDS = 0.5
# How soon a cancelled job notices, at the latest.
BEAT_SECONDS = 2.0


class Work:
    """Holds a claimed job while it runs. A context manager: its heartbeat ends with it."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self._stop = threading.Event()
        self._ended: Exception | None = None
        self._shown = 0.0
        self._thread = threading.Thread(target=self._beat, name=f"lease {job.id}", daemon=True)

    def __enter__(self) -> "Work":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    def check(self) -> None:
        """Raise CancelledError or LeaseLostError when the job must stop."""
        if self._ended is not None:
            raise self._ended

    def progress(self, share: float, step: str) -> None:
        """Show how far the job is, at most twice a second. Raises as `check` does."""
        self.check()
        now = time.monotonic()
        if now - self._shown >= PROGRESS_SECONDS or share >= 1:
            self._shown = now
            job_progress(job=self.job, share=share, step=step)

    def log(self, text: str) -> None:
        """Add a line to the job's log."""
        job_log(job=self.job, text=text)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder for what a lost worker's successor can go on with; erased when the job ends."""
        folder = Path(settings.SCRATCH) / str(self.job.id)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            yield folder
        except LeaseLostError:
            raise  # another worker has the job, and the folder
        except Exception:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        shutil.rmtree(folder, ignore_errors=True)

    def _beat(self) -> None:
        try:
            while not self._stop.wait(min(settings.JOB_LEASE_SECONDS / 4, BEAT_SECONDS)):
                try:
                    job_renew(job=self.job)
                except (CancelledError, LeaseLostError) as error:
                    self._ended = error
                    return
                except DatabaseError:
                    # The database may be back before the lease ends; if not, the job is taken up
                    # by another worker and this one is told by its next write.
                    logger.warning("the lease of job %s could not be renewed", self.job.id)
                    connection.close()
        finally:
            connection.close()
