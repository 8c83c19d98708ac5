"""How many entries a second the log takes durably, and how soon they are published.

Sixteen writers, each a process with a connection of its own, queue batches of entries and wait for
the commit of every one (fsync on, the runtime role). One sequencer integrates, signs with both keys
and publishes. The rate is that of entries under a published checkpoint; the delay is from the
acknowledged commit of a batch to the checkpoint that covers it.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from bisect import bisect_left
from pathlib import Path

from ledger_cluster import installation
from result import report

WRITERS = 16
BATCH = 50
MEANING = {
    "durable_entries_per_s": "entries a second, from the first commit to the last checkpoint",
    "publish_p95_s": "seconds from commit to published checkpoint, 95th percentile",
    "publish_p50_s": "the same, median",
    "entries": "entries written",
    "writers": "writers at once",
    "batch": "entries in a writer's transaction",
    "checkpoints": "checkpoints published meanwhile",
}


def main() -> None:
    """Write for a while, sequence until nothing waits."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="for five seconds only")
    quick = parser.parse_args().quick
    with installation(), tempfile.TemporaryDirectory() as name:
        figures = _measure(Path(name), seconds=5 if quick else 30)
    report("ledger_throughput", figures, MEANING, quick=quick)


def _measure(folder: Path, *, seconds: float) -> dict[str, float]:
    from django.db import connection

    from ledger.models import Checkpoint, Entry, QueuedEntry
    from ledger.services import ledger_sequence

    connection.close()
    end = time.time() + seconds
    children = [_fork(folder / f"{number}", number, end) for number in range(WRITERS)]
    published: list[tuple[int, float]] = []
    running = True
    while running or QueuedEntry.objects.exists():
        running = time.time() < end + 0.5
        if ledger_sequence(batch=2000):
            size = Checkpoint.objects.values_list("size", flat=True)[0]
            published.append((size, time.time()))
        else:
            time.sleep(0.02)
    for pid in children:
        assert os.waitpid(pid, 0)[1] == 0
    while ledger_sequence(batch=2000):  # what came in during the last look
        published.append((Checkpoint.objects.values_list("size", flat=True)[0], time.time()))
    commits = [
        json.loads(line) for path in folder.iterdir() for line in path.read_text().splitlines()
    ]
    rows = Entry.objects.values_list("body", "index").iterator()
    index = {bytes(body): place for body, place in rows}
    sizes = [size for size, _ in published]
    delays = []
    for last, at in commits:
        covering = bisect_left(sizes, index[last.encode()] + 1)
        delays.append(published[covering][1] - at)
    assert len(index) == len(commits) * BATCH
    span = published[-1][1] - min(at for _, at in commits)
    return {
        "durable_entries_per_s": round(len(index) / span, 1),
        "publish_p95_s": round(statistics.quantiles(delays, n=20)[-1], 3),
        "publish_p50_s": round(statistics.median(delays), 3),
        "entries": len(index),
        "writers": WRITERS,
        "batch": BATCH,
        "checkpoints": len(published),
    }


def _fork(path: Path, number: int, end: float) -> int:
    """A writer in a process of its own; it notes when each commit was acknowledged."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        from ledger import services

        # Waking the sequencer is a message to the broker, which is not what is measured here.
        services._wake_sequencer = lambda: None
        with path.open("w") as out:
            batch = 0
            while time.time() < end:
                # As long as a certificate's entry: about 100 bytes.
                bodies = [
                    f'{{"kind":"benchmark/v1","writer":{number},"n":{batch * BATCH + n},'
                    f'"pad":"{"0" * 50}"}}'
                    for n in range(BATCH)
                ]
                services.entries_queue(bodies=[body.encode() for body in bodies])
                out.write(json.dumps([bodies[-1], time.time()]) + "\n")
                batch += 1
        code = 0
    finally:
        os._exit(code)


if __name__ == "__main__":
    main()
