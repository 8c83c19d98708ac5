"""How many entries a second the log takes durably, and how soon they are published.

Sixteen writers, each a process with a connection of its own, queue batches of entries and wait for
the commit of every one (fsync on, the runtime role). One sequencer, as `manage.py sequencer` runs
it, integrates, signs with both keys and publishes. The rate is that of entries under a published
checkpoint, from the first commit to the last checkpoint; the delay is from the acknowledged commit
of a batch to the checkpoint that covers it.

The writers go two ways. Paced, they bring `offered_entries_per_s` together, each batch at its
time, or at once where the writer is behind: rate and delay are of this part. Saturated, each
brings the next batch as soon as the last is committed, which is faster than the log can follow,
so that the queue and with it the delay grow for as long as the part lasts: only its rate means
something.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from bisect import bisect_left
from dataclasses import dataclass
from pathlib import Path

from ledger_cluster import installation
from result import report

WRITERS = 16
BATCH = 50
OFFERED = 4000
# What `manage.py sequencer` waits when nothing was queued.
LOOK_EVERY = 0.2
MEANING = {
    "durable_entries_per_s": "paced: entries a second, first commit to last checkpoint",
    "publish_p95_s": "paced: seconds from commit to published checkpoint, 95th percentile",
    "publish_p50_s": "the same, median",
    "saturated_entries_per_s": "saturated: entries a second, first commit to last checkpoint",
    "committed_entries_per_s": "saturated: entries a second that the writers committed",
    "offered_entries_per_s": "paced: what the writers were to bring",
    "entries": "entries written in both parts",
    "writers": "writers at once",
    "batch": "entries in a writer's transaction",
    "checkpoints": "checkpoints published, in both parts",
}


@dataclass(frozen=True)
class Part:
    """What was measured while the writers went one way."""

    entries: int
    span: float
    writing: float
    delays: list[float]
    checkpoints: int


def main() -> None:
    """Write for a while, sequence until nothing waits; paced, then saturated."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="six and three seconds only")
    quick = parser.parse_args().quick
    paced_seconds, seconds = (6, 3) if quick else (60, 20)
    with installation():
        paced = _measure("paced", seconds=paced_seconds, every=WRITERS * BATCH / OFFERED)
        saturated = _measure("saturated", seconds=seconds, every=0)
    figures = {
        "durable_entries_per_s": round(paced.entries / paced.span, 1),
        "publish_p95_s": round(statistics.quantiles(paced.delays, n=20)[-1], 3),
        "publish_p50_s": round(statistics.median(paced.delays), 3),
        "saturated_entries_per_s": round(saturated.entries / saturated.span, 1),
        "committed_entries_per_s": round(saturated.entries / saturated.writing, 1),
        "offered_entries_per_s": OFFERED,
        "entries": paced.entries + saturated.entries,
        "writers": WRITERS,
        "batch": BATCH,
        "checkpoints": paced.checkpoints + saturated.checkpoints,
    }
    report("ledger_throughput", figures, MEANING, quick=quick)


def _measure(name: str, *, seconds: float, every: float) -> Part:
    from django.db import connection

    from ledger.models import Entry, QueuedEntry
    from ledger.selectors import log_size
    from ledger.services import ledger_sequence

    before = log_size()
    connection.close()
    with tempfile.TemporaryDirectory() as folder:
        begin = time.time() + 0.5
        children = [
            _fork(Path(folder) / f"{number}", f"{name}-{number}", begin, begin + seconds, every)
            for number in range(WRITERS)
        ]
        published: list[tuple[int, float]] = []
        while time.time() < begin + seconds + 0.5 or QueuedEntry.objects.exists():
            if ledger_sequence():
                published.append(_published())
            else:
                time.sleep(LOOK_EVERY)
        for pid in children:
            assert os.waitpid(pid, 0)[1] == 0
        while ledger_sequence():  # what came in during the last look
            published.append(_published())
        commits = [
            json.loads(line)
            for path in Path(folder).iterdir()
            for line in path.read_text().splitlines()
        ]
    rows = Entry.objects.filter(index__gte=before).values_list("body", "index").iterator()
    index = {bytes(body): place for body, place in rows}
    assert len(index) == len(commits) * BATCH
    sizes = [size for size, _ in published]
    delays = [
        published[bisect_left(sizes, index[last.encode()] + 1)][1] - at for last, at in commits
    ]
    times = [at for _, at in commits]
    return Part(
        len(index), published[-1][1] - min(times), max(times) - min(times), delays, len(published)
    )


def _published() -> tuple[int, float]:
    """The size of the newest checkpoint, and the time at which it can be read."""
    from ledger.selectors import checkpoint_latest

    checkpoint = checkpoint_latest()
    assert checkpoint is not None
    return checkpoint.size, time.time()


def _fork(path: Path, name: str, begin: float, end: float, every: float) -> int:
    """A writer in a process of its own; it notes when each commit was acknowledged."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        from ledger import services

        # Waking the sequencer is a message to the broker, which is not what is measured here.
        services._wake_sequencer = lambda: None
        # Not all at the same moment.
        due = begin + every * int(name.rpartition("-")[2]) / WRITERS
        with path.open("w") as out:
            batch = 0
            while max(due, time.time()) < end:
                time.sleep(max(0.0, due - time.time()))
                # As long as a certificate's entry: about 100 bytes.
                bodies = [
                    f'{{"kind":"benchmark/v1","writer":"{name}","n":{batch * BATCH + n},'
                    f'"pad":"{"0" * 50}"}}'
                    for n in range(BATCH)
                ]
                services.entries_queue(bodies=[body.encode() for body in bodies])
                out.write(json.dumps([bodies[-1], time.time()]) + "\n")
                batch += 1
                due += every
        code = 0
    finally:
        os._exit(code)


if __name__ == "__main__":
    main()
