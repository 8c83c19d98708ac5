"""A model behind a real server, for as long as it is needed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from config.supervisor import ROOT, free_port
from spellmark.errors import SpellmarkError


@contextmanager
def served(module: str, *arguments: str, log: Path, **environment: str) -> Iterator[str]:
    """A server that is a module with `--port` and answers at `/health`; its address."""
    port = free_port(0)
    path = os.pathsep.join([str(ROOT / "workers"), str(ROOT)])
    with log.open("wb") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", module, *arguments, "--port", str(port)],
            env={**os.environ, "PYTHONPATH": path, **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: httpx.get(f"{url}/health", timeout=2).raise_for_status())
        yield url
    finally:
        # The server has processes of its own, which outlive it; they are all in its session.
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def until(ready: Callable[[], Any], seconds: float = 60) -> None:
    """Call until it raises nothing."""
    end = time.monotonic() + seconds
    while True:
        try:
            ready()
        except (httpx.HTTPError, SpellmarkError):
            if time.monotonic() > end:
                raise
            time.sleep(0.3)
        else:
            return
