"""A pytest plugin: starts the embedded PostgreSQL before Django's settings are read."""

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "platform"), str(ROOT / "workers"), str(ROOT)]

# Workers of pytest-xdist inherit what the first process has set.
if "PYTEST_XDIST_WORKER" not in os.environ:
    from config.embedded import Postgres

    home = Path(tempfile.mkdtemp(prefix="spellmark-test-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    postgres = Postgres(ROOT / "var" / "test" / "postgres")
    os.environ.update(
        SPELLMARK_HOME=str(home),
        # Named after the process, so that two test runs do not meet.
        DATABASE_URL=postgres.url("postgres", f"spellmark_{os.getpid()}"),
        CELERY_BROKER_URL="memory://",
        SPELLMARK_EGRESS_ALLOWED_NETWORKS="127.0.0.0/8",
        SPELLMARK_DATA="",
    )
