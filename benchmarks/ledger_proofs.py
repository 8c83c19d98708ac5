"""What a proof costs: to make from a log of a million entries, beside pymerkle, and to verify.

Inclusion proofs come from the platform's own selector over the embedded PostgreSQL, for entries
drawn at random: the call that the API makes, without HTTP. It keeps nothing in memory between two
proofs.

The peer, pymerkle on SQLite, as it comes, proves entries of a log of its own; since its cost grows
with the log, it gets a smaller one, and ours is asked about one of the same size for the ratio. It
stores leaves only, and keeps the subtree hashes that it computed in memory: so it is slow after
each start and fast once it has computed most of them. `proof_vs_pymerkle` is of its first proofs
after a start, `proof_vs_pymerkle_warm` of those after some hundreds.
"""

import argparse
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
    "proof_vs_pymerkle": "its time for one of its first proofs / ours, at the same size, medians",
    "proof_vs_pymerkle_warm": "the same once its cache is filled",
    "verify_ms": "milliseconds to verify a verdict's bundle offline, all eleven checks, after"
    " start-up, median; the slowest of the next three",
    "verify_random_key_ms": "a random-key test: 64 probes under 1,000 keys",
    "verify_dynamic_ms": "a dynamic watermark: 256 answers with probabilities",
    "verify_correlation_ms": "a fingerprint by correlation: 400 answers with probabilities",
    "verify_registration_ms": "a registration, which has no transcript",
    "entries": "entries in the log",
    "fill_entries_per_s": "entries a second from the queue into the tree, with nobody else there",
    "peer_entries": "entries in the log of the comparison",
    "pymerkle_ms": "milliseconds for one of pymerkle's first proofs there, median",
    "pymerkle_warm_ms": "the same once its cache is filled",
    "ours_ms": "milliseconds for ours there, median",
}
CHUNK = 20_000
FIRST = 20


def main() -> None:
    """Fill a log, prove, compare, verify."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a log of 50,000 entries")
    quick = parser.parse_args().quick
    entries, peer_entries, proofs = (50_000, 20_000, 500) if quick else (1_000_000, 100_000, 2000)
    with installation():
        figures = _measure(entries, peer_entries, proofs)
    report("ledger_proofs", figures, MEANING, quick=quick)


def _measure(entries: int, peer_entries: int, proofs: int) -> dict[str, float]:
    from bundle_verification import verify_ms

    from ledger.selectors import checkpoint_latest, entry_proof, inclusion_proof, trust
    from spellmark.certificates import tlog_proof

    begin = time.perf_counter()
    _fill(entries)
    filled = time.perf_counter() - begin
    chance = random.Random(0)
    checkpoint = checkpoint_latest()
    assert checkpoint is not None
    assert checkpoint.size == entries
    whole = _times(lambda: inclusion_proof(chance.randrange(entries), entries), proofs)
    ours = _times(lambda: inclusion_proof(chance.randrange(peer_entries), peer_entries), proofs)
    first, warm = _pymerkle(peer_entries, proofs)
    # What was timed are proofs: one of them, as a stranger gets it, verifies.
    index = entries // 3
    tlog_proof.verify(entry_proof(index, checkpoint), _body(index), trust().logs())
    return {
        "proof_p50_ms": round(statistics.median(whole), 3),
        "proof_p95_ms": round(statistics.quantiles(whole, n=20)[-1], 3),
        "proof_vs_pymerkle": round(statistics.median(first) / statistics.median(ours), 1),
        "proof_vs_pymerkle_warm": round(statistics.median(warm) / statistics.median(ours), 1),
        **verify_ms(),
        "entries": entries,
        "fill_entries_per_s": round(entries / filled),
        "peer_entries": peer_entries,
        "pymerkle_ms": round(statistics.median(first), 3),
        "pymerkle_warm_ms": round(statistics.median(warm), 3),
        "ours_ms": round(statistics.median(ours), 3),
    }


def _body(index: int) -> bytes:
    return b'{"kind":"certificate/v1","sha256":"%s"}' % sha256(b"%d" % index).hexdigest().encode()


def _fill(entries: int) -> None:
    """Into the queue by COPY, from there through the sequencer, as all entries go; then publish."""
    from django.db import connection
    from django.utils import timezone

    from ledger.publish import ledger_publish
    from ledger.services import ledger_integrate

    with (
        connection.cursor() as cursor,
        cursor.copy("COPY ledger_queuedentry (body, queued_at) FROM STDIN") as copy,
    ):
        for index in range(entries):
            copy.write_row((_body(index), timezone.now()))
    while ledger_integrate(batch=CHUNK):
        pass
    ledger_publish()


def _pymerkle(entries: int, proofs: int) -> tuple[list[float], list[float]]:
    """Milliseconds of its first proofs, and of the last ones of many."""
    from pymerkle import SqliteTree

    chance = random.Random(0)
    with tempfile.TemporaryDirectory() as name, SqliteTree(str(Path(name) / "tree.db")) as tree:
        tree.append_entries(_bodies(entries), chunksize=CHUNK)
        times = _times(lambda: tree.prove_inclusion(chance.randrange(entries) + 1, entries), proofs)
    return times[:FIRST], times[-proofs // 5 :]


def _bodies(entries: int) -> Iterator[bytes]:
    return (_body(index) for index in range(entries))


def _times(work: Callable[[], object], count: int) -> list[float]:
    """Milliseconds of each call."""
    taken = []
    for _ in range(count):
        begin = time.perf_counter()
        work()
        taken.append((time.perf_counter() - begin) * 1000)
    return taken


if __name__ == "__main__":
    main()
