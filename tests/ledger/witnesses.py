"""A real witness beside the test: own key, own SQLite file, over HTTP."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ledger import witnesses
from ledger.keys import ensure_signing_keys
from ledger.selectors import log_verifiers
from spellmark.certificates import keys
from spellmark.certificates.notes import COSIGNATURE, ML_DSA_44, Signer
from spellmark.certificates.policy import Policy, PolicyWitness
from spellmark.certificates.witness import Witness
from spellmark.certificates.witness_server import serve


class RunningWitness:
    """Knows the log's keys from the beginning; `away` keeps it out of the log's policy."""

    def __init__(self, folder: Path, policy_file: Path, name: str = "w1") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.signers = [
            Signer(f"witness.example/{name}", keys.generate_ed25519(), COSIGNATURE),
            Signer(f"witness.example/{name}", keys.generate_ml_dsa_44(), ML_DSA_44),
        ]
        verifiers = [verifier for _, verifier in log_verifiers()]
        self.store = folder / f"{name}.sqlite"
        self.witness = Witness(self.store, {verifiers[0].name: verifiers}, self.signers)
        self.refusals: list[tuple[int, bytes]] = []
        answer = self.witness.add_checkpoint

        def remember(body: bytes):
            found = answer(body)
            if found.status != 200:
                self.refusals.append((found.status, found.body))
            return found

        self.witness.add_checkpoint = remember
        self.policy_file = policy_file
        self._server = serve(self.witness, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=[0.05])
        self._thread.start()

    def lines(self) -> tuple[PolicyWitness, ...]:
        return tuple(
            PolicyWitness(f"{self.name}{suffix}", signer.verifier, self.url)
            for signer, suffix in zip(self.signers, ("", "-ml-dsa"), strict=True)
        )

    def join(self) -> None:
        self.policy_file.write_bytes(Policy(witnesses=self.lines(), quorum=self.name).dumps())

    @contextmanager
    def away(self) -> Iterator[None]:
        """The log publishes without it."""
        self.policy_file.unlink()
        yield
        self.join()

    def stop(self) -> None:
        if not self._thread.is_alive():
            return
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        # A process that ends takes its open connections along.
        witnesses._client().close()
        witnesses._client.cache_clear()


@pytest.fixture
def witness(db, settings, tmp_path: Path) -> Iterator[RunningWitness]:
    """A witness whose cosignature the log needs."""
    ensure_signing_keys()
    settings.LOG_POLICY = tmp_path / "policy.txt"
    settings.LOG_WITNESS_TIMEOUT_SECONDS = 20
    running = RunningWitness(tmp_path, settings.LOG_POLICY)
    running.join()
    yield running
    running.stop()
