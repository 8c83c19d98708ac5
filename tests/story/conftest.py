"""The whole platform on this machine: database, broker, web, worker and beat, for real."""

import json
from collections.abc import Iterator

import pytest

from config.supervisor import Platform
from demo.client import Client
from demo.story import DATA

LEASE_SECONDS = 3


@pytest.fixture(scope="module")
def platform(tmp_path_factory) -> Iterator[Platform]:
    home = tmp_path_factory.mktemp("platform")
    environment = {
        # Two platforms may run side by side, and threads that wait for a core cost more than one.
        "OMP_NUM_THREADS": "1",
        "SPELLMARK_EGRESS_ALLOWED_NETWORKS": "127.0.0.0/8",
        "SPELLMARK_DATA": str(DATA),
        "SPELLMARK_JOB_LEASE_SECONDS": str(LEASE_SECONDS),
        "SPELLMARK_KEYS": str(home / "keys"),
        "SPELLMARK_STORAGE": str(home / "storage"),
    }
    with Platform(home, port=0, environment=environment) as running:
        yield running


@pytest.fixture(scope="module")
def owner(platform: Platform) -> Client:
    made = platform.manage(
        "owner_create", "--email=alice@example.org", "--organisation=Acme", "--token=tests"
    )
    return Client(platform.url, json.loads(made)["token"])
