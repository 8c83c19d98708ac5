"""What a proof costs: to make from a log of a million entries, beside pymerkle, and to verify.

Inclusion proofs come from the platform's own selector over the embedded PostgreSQL, for entries
drawn at random. The peer, pymerkle on SQLite, proves entries of a log of its own; since its cost
grows with the log, it gets a smaller one, and ours is asked about one of the same size for the
ratio.
"""

import argparse
import logging
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

from ledger_cluster import installation
from result import report

MEANING = {
    "proof_p50_ms": "milliseconds for an inclusion proof in the whole log, median",
    "proof_p95_ms": "the same, 95th percentile",
    "proof_vs_pymerkle": "proofs a second, as a multiple of pymerkle's on SQLite at the same size",
    "verify_ms": "milliseconds to verify a .tlog-proof with its signed checkpoint, median",
    "entries": "entries in the log",
    "peer_entries": "entries in the log of the comparison",
    "pymerkle_ms": "milliseconds for pymerkle's proof there, median",
    "ours_ms": "milliseconds for ours there, median",
}
CHUNK = 20_000


def main() -> None:
    """Fill a log, prove, compare, verify."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a log of 20,000 entries")
    quick = parser.parse_args().quick
    entries, peer_entries, proofs = (20_000, 5_000, 200) if quick else (1_000_000, 100_000, 1000)
    with installation():
        figures = _measure(entries, peer_entries, proofs)
    report("ledger_proofs", figures, MEANING, quick=quick)


def _measure(entries: int, peer_entries: int, proofs: int) -> dict[str, float]:
    from ledger.selectors import checkpoint_latest, entry_proof, inclusion_proof, trust
    from spellmark.certificates import tlog_proof

    logging.getLogger("kombu").setLevel(logging.ERROR)
    _fill(entries)
    chance = random.Random(0)
    checkpoint = checkpoint_latest()
    assert checkpoint is not None
    assert checkpoint.size == entries
    whole = _times(lambda: inclusion_proof(chance.randrange(entries), entries), proofs)
    ours = _times(lambda: inclusion_proof(chance.randrange(peer_entries), peer_entries), proofs)
    theirs = _pymerkle(peer_entries, max(10, proofs // 50))
    logs = trust().logs()
    index = entries // 3
    data = entry_proof(index, checkpoint).dumps()
    verify = _times(
        lambda: tlog_proof.verify(tlog_proof.TlogProof.loads(data), _body(index), logs), proofs
    )
    return {
        "proof_p50_ms": round(statistics.median(whole), 3),
        "proof_p95_ms": round(statistics.quantiles(whole, n=20)[-1], 3),
        "proof_vs_pymerkle": round(statistics.median(theirs) / statistics.median(ours), 1),
        "verify_ms": round(statistics.median(verify), 3),
        "entries": entries,
        "peer_entries": peer_entries,
        "pymerkle_ms": round(statistics.median(theirs), 3),
        "ours_ms": round(statistics.median(ours), 3),
    }


def _body(index: int) -> bytes:
    return b'{"kind":"certificate/v1","sha256":"%s"}' % sha256(b"%d" % index).hexdigest().encode()


def _fill(entries: int) -> None:
    """Through the queue and the sequencer, as all entries go."""
    from django.db import connection

    from ledger import services

    services._wake_sequencer = lambda: None
    for start in range(0, entries, CHUNK):
        end = min(start + CHUNK, entries)
        services.entries_queue(bodies=[_body(index) for index in range(start, end)])
        while services.ledger_sequence(batch=CHUNK):
            pass
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM ledger_queuedentry")
        assert cursor.fetchone() == (0,)


def _pymerkle(entries: int, proofs: int) -> list[float]:
    from pymerkle import SqliteTree

    chance = random.Random(0)
    with tempfile.TemporaryDirectory() as name, SqliteTree(str(Path(name) / "tree.db")) as tree:
        tree.append_entries(_bodies(entries), chunksize=CHUNK)
        return _times(lambda: tree.prove_inclusion(chance.randrange(entries) + 1, entries), proofs)


def _bodies(entries: int) -> Iterator[bytes]:
    return (_body(index) for index in range(entries))


def _times(work: Callable[[], object], count: int) -> list[float]:
    """Milliseconds of each call, after a few that warm up."""
    for _ in range(3):
        work()
    taken = []
    for _ in range(count):
        begin = time.perf_counter()
        work()
        taken.append((time.perf_counter() - begin) * 1000)
    return taken


if __name__ == "__main__":
    main()
