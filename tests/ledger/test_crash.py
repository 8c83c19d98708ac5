"""SIGKILL of sequencers, writers, web server and database at random moments (crash.py)."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("crash.py")


def _crash(folder: Path, kills: int, seed: int) -> dict:
    # What the test run told its own processes must not reach the other installation.
    environment = {name: value for name, value in os.environ.items() if "SPELLMARK" not in name}
    environment.pop("DATABASE_URL", None)
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(folder), str(kills), str(seed)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def _assert_sound(found: dict, kills: int) -> None:
    assert sum(found["killed"].values()) == kills
    assert found["gaps"] is False
    assert found["twice"] == 0
    assert found["lost"] == 0
    assert found["half_written"] == 0
    assert found["contradicted"] == []
    assert found["unwitnessed"] == 0
    assert found["compared"] == 1
    # The test means something only if the log grew between the kills.
    assert found["acknowledged"] > kills
    assert found["told"] > kills / 4
    assert found["entries"] >= found["acknowledged"]
    assert found["signatures"] >= found["checkpoints"] >= 1


@pytest.fixture
def folder() -> Iterator[Path]:
    """Not pytest's own: every test run that starts closes those to the database's user."""
    with tempfile.TemporaryDirectory(prefix="spellmark-crash-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.slow
def test_the_log_lives_through_a_few_kills(folder):
    _assert_sound(_crash(folder, 12, seed=1), 12)


@pytest.mark.slow
def test_the_log_lives_through_two_hundred_kills(folder):
    found = _crash(folder, 200, seed=2)
    _assert_sound(found, 200)
    assert min(found["killed"].values()) >= 20
