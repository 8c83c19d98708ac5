"""The embedded database, after a power cut."""

import os
import signal

import psycopg
import pytest

from config.embedded import Postgres


@pytest.mark.slow
def test_a_database_that_repairs_its_files_for_long_is_waited_for(tmp_path):
    folder = tmp_path / "postgres"
    database = Postgres(folder)
    database.ensure_database()
    with psycopg.connect(database.url("postgres")) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
    os.kill(int((folder / "postmaster.pid").read_text().splitlines()[0]), signal.SIGQUIT)
    # A repair longer than the wheel waits: it asks for an archive that answers slowly.
    with (folder / "postgresql.auto.conf").open("a") as file:
        file.write("restore_command = 'sleep 6; false'\n")
    (folder / "recovery.signal").touch()
    database.stop()

    again = Postgres(folder)
    try:
        with psycopg.connect(again.url("postgres")) as connection:
            assert connection.execute("SELECT one FROM kept").fetchone() == (1,)
    finally:
        again.stop()
