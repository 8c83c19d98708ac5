"""How long the offline check of an evidence bundle takes after start-up; for `ledger_proofs.py`."""

import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from spellmark.certificates import certificate, checkpoints, entries, keys, merkle
from spellmark.certificates.bundle import Bundle
from spellmark.certificates.checkpoints import Checkpoint
from spellmark.certificates.notes import Signer
from spellmark.certificates.statements import Registration
from spellmark.certificates.tlog_proof import TlogProof
from spellmark.certificates.trust import CertificateKey, LogKey, Trust
from spellmark.certificates.verify import verify_bundle

ORIGIN = "benchmark.example/log"


def verify_ms(*, leaves: int = 1_000, turns: int = 50) -> float:
    """The median milliseconds of `verify_bundle` on a registration's zip in a log of `leaves`.

    Reading the zip from disk is part of it; importing the library is not.
    """
    key, log = keys.generate_p256(), Signer(ORIGIN, keys.generate_ed25519())
    now = datetime.now(UTC)
    statement = Registration(
        model_digest="11" * 32,
        model_name="robin",
        version=1,
        organisation="Acme",
        commitment="22" * 32,
        binding="33" * 32,
        scheme="key-lock/v1",
        parameters={"block": 4},
        registered_at=now,
    )
    body = certificate.issue(statement, key)
    entry = entries.certificate_entry(certificate.loads(body))
    hashes = [merkle.leaf_hash(b"%d" % number) for number in range(leaves - 1)]
    nodes = {}
    for level, index, value in merkle.extend(
        0, [*hashes, merkle.leaf_hash(entry)], merkle.reader(nodes)
    ):
        nodes[level, index] = value
    read = merkle.reader(nodes)
    note = checkpoints.sign(Checkpoint(ORIGIN, leaves, merkle.root(leaves, read)), [log])
    proof = TlogProof(leaves - 1, merkle.inclusion_proof(leaves - 1, leaves, read), note)
    trust = Trust(
        (CertificateKey(key.public_key(), now - timedelta(days=1), None),),
        (LogKey(ORIGIN, log.verifier),),
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bundle.zip"
        Bundle(body, proof.dumps()).save(path)
        assert verify_bundle(path, trust).passed
        times = []
        for _ in range(turns):
            start = time.perf_counter()
            verify_bundle(path, trust)
            times.append(time.perf_counter() - start)
    return round(1000 * statistics.median(times), 3)


if __name__ == "__main__":
    print(f"verify_ms  {verify_ms()}")
