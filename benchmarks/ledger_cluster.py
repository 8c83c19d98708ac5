"""An installation of its own for a benchmark: embedded PostgreSQL, tables, keys, no witnesses."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "platform"), str(ROOT / "workers")]


@contextmanager
def installation() -> Iterator[None]:
    """Django is set up within; everything is gone afterwards."""
    from config.embedded import Postgres

    with tempfile.TemporaryDirectory(prefix="spellmark-bench-") as name:
        # The database's own user must reach its folder.
        Path(name).chmod(0o755)
        postgres = Postgres(Path(name) / "postgres")
        postgres.ensure_database()
        os.environ.update(
            SPELLMARK_HOME=name,
            DATABASE_URL=postgres.url("postgres"),
            CELERY_BROKER_URL="memory://",
            DJANGO_SETTINGS_MODULE="config.settings",
        )
        import django

        django.setup()
        from django.core.management import call_command
        from django.db import connection

        call_command("setup", verbosity=0)
        # As in production: the rights of the runtime role, and nothing relaxed for speed.
        connection.close()
        connection.settings_dict["USER"] = "spellmark_app"
        with connection.cursor() as cursor:
            for setting in ("fsync", "synchronous_commit"):
                cursor.execute(f"SHOW {setting}")
                assert cursor.fetchone()[0] == "on"
        try:
            yield
        finally:
            connection.close()
            postgres.stop()
