"""`manage.py witness`, as a process of its own."""

import signal
import subprocess
import sys

from django.conf import settings

from spellmark.certificates import keys
from spellmark.certificates.notes import Signer
from spellmark.certificates.policy import Policy

LOG = Signer("log.example/1", keys.generate_ed25519()).verifier


def _printed(folder, name: str) -> str:
    """Its lines for the log's policy file."""
    command = [sys.executable, "manage.py", "witness", "--folder", folder, "--name", name]
    witness = subprocess.Popen(
        [*command, "--log", LOG.vkey, "--port", "0"],
        cwd=settings.ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert witness.stdout is not None
    lines = "".join(witness.stdout.readline() for _ in range(2))
    witness.send_signal(signal.SIGTERM)
    assert witness.wait(30) == 0
    return lines


def test_the_lines_of_two_witnesses_go_into_one_policy(tmp_path):
    lines = _printed(tmp_path / "a", "witness.example/w1")
    lines += _printed(tmp_path / "b", "witness.example/w2")
    policy = Policy.loads(f"{lines}group all all w1 w1-ml-dsa w2 w2-ml-dsa\nquorum all\n".encode())
    assert {witness.verifier.name for witness in policy.witnesses} == {
        "witness.example/w1",
        "witness.example/w2",
    }
