"""Starts the platform's processes on this machine, and stops every one of them."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from config.embedded import Postgres, Valkey
from spellmark.errors import SpellmarkError

ROOT = Path(__file__).resolve().parents[2]
PR_SET_PDEATHSIG = 1
STOP_SECONDS = 15


class StartError(SpellmarkError):
    """A part of the platform that did not start."""


class Platform:
    """Database, broker, web, worker and beat as child processes. A context manager."""

    def __init__(
        self, home: Path, *, port: int = 8000, environment: Mapping[str, str] | None = None
    ) -> None:
        self.home = home
        self.port = free_port(port)
        self.url = f"http://127.0.0.1:{self.port}"
        self._extra = dict(environment or {})
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self.logs = home / "logs"

    def __enter__(self) -> Self:
        self.logs.mkdir(parents=True, exist_ok=True)
        try:
            self.postgres = Postgres(self.home / "postgres")
            self.postgres.ensure_database()
            self.valkey = Valkey(self.home / "valkey")
            self._write_environment()
            self.manage("setup", owner=True)
            self.start_web()
            self.start_worker()
            self.start_beat()
            self._wait_for_web()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def environment(self, *, owner: bool = False) -> dict[str, str]:
        """What the children are told; the database's owner is needed to migrate only."""
        role = "postgres" if owner else "spellmark_app"
        return {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "PYTHONPATH": os.pathsep.join([str(ROOT / "platform"), str(ROOT / "workers")]),
            "SPELLMARK_HOME": str(self.home),
            "SPELLMARK_PUBLIC_URL": self.url,
            "DATABASE_URL": self.postgres.url(role),
            "CELERY_BROKER_URL": self.valkey.url,
            **self._extra,
        }

    def manage(self, *arguments: str, owner: bool = False) -> str:
        """Run a management command; its output back. Raises StartError."""
        done = subprocess.run(
            [sys.executable, str(ROOT / "manage.py"), *arguments],
            env=self.environment(owner=owner),
            capture_output=True,
            text=True,
        )
        if done.returncode:
            last = (done.stderr or done.stdout).strip().splitlines()[-1:]
            raise StartError(
                f"manage.py {arguments[0]} failed: {' '.join(last)}",
                hint="Run it by hand to see all of its output.",
            )
        return done.stdout

    def start_web(self) -> None:
        """gunicorn, on the loopback address."""
        command = ["-m", "gunicorn", "config.wsgi", "--bind", f"127.0.0.1:{self.port}"]
        options = ["--workers", "2", "--threads", "4", "--timeout", "600"]
        self._start("web", [*command, *options, "--no-control-socket"])

    def start_worker(self) -> None:
        """One Celery worker for all queues."""
        self._start("worker", [str(ROOT / "manage.py"), "worker"])

    def start_beat(self) -> None:
        """The clock: sequences the ledger and takes up lost jobs."""
        schedule = ["--schedule", str(self.home / "beat-schedule")]
        self._start("beat", ["-m", "celery", "-A", "config.celery", "beat", *schedule])

    def kill(self, name: str) -> None:
        """SIGKILL a child, as the kernel does when memory runs out."""
        child = self._children.pop(name)
        child.kill()
        child.wait()

    def check(self) -> None:
        """Raise StartError when a child has ended by itself."""
        for name, child in self._children.items():
            if child.poll() is not None:
                raise StartError(
                    f"The {name} process ended with code {child.returncode}.",
                    hint=f"Its log is {self.logs / name}.log.",
                )

    def stop(self) -> None:
        """Stop everything that was started, in the reverse order."""
        for child in reversed(self._children.values()):
            child.terminate()
        for child in self._children.values():
            try:
                child.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        self._children.clear()
        for part in ("valkey", "postgres"):
            if hasattr(self, part):
                getattr(self, part).stop()
                delattr(self, part)

    def _write_environment(self) -> None:
        """So that `manage.py` commands beside the running platform find its parts."""
        names = ("DATABASE_URL", "CELERY_BROKER_URL", "SPELLMARK_PUBLIC_URL")
        told = self.environment()
        lines = [f"{name}={told[name]}\n" for name in names]
        (self.home / "environment").write_text("".join(lines))

    def _start(self, name: str, arguments: Sequence[str]) -> None:
        with (self.logs / f"{name}.log").open("ab") as log:
            self._children[name] = subprocess.Popen(
                [sys.executable, *arguments],
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                start_new_session=True,  # Ctrl-C is ours to pass on, in our order
                preexec_fn=_die_with_parent,
            )

    def _wait_for_web(self, seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.check()
            try:
                if httpx.get(f"{self.url}/healthz", timeout=2).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        raise StartError("The web process does not answer.", hint=f"See {self.logs}/web.log.")


def free_port(wanted: int) -> int:
    """The wanted port, or any other free one."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise StartError("There is no free port.", hint="Stop what uses them.")


def _die_with_parent() -> None:
    """So that a killed supervisor leaves no child behind (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
