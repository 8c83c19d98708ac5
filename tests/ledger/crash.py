"""Kills sequencers, writers, the web server and the database at random moments, then says what
became of the log.

Run by `test_crash.py` in a process of its own, since it forks: `crash.py FOLDER KILLS SEED`. Its
output is JSON. Every signature that the log ever made is kept, also those of checkpoints that were
never published. A client of the web server lives through everything, and notes down what it was
told.
"""

import contextlib
import ctypes
import json
import os
import random
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "platform"), str(ROOT / "workers"), str(ROOT)]

FOLDER, KILLS, SEED = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
from config.embedded import Postgres, _wait_until_ready  # noqa: E402

LONGEST_REPAIR_SECONDS = 120
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
# The database's processes are ours to bury: a dead one that nobody waits for counts as running.
ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)

POSTGRES = Postgres(FOLDER / "postgres")
POSTGRES.ensure_database()
os.environ.update(
    SPELLMARK_HOME=str(FOLDER),
    DATABASE_URL=POSTGRES.url("postgres"),
    CELERY_BROKER_URL="memory://",
    DJANGO_SETTINGS_MODULE="config.settings",
    SPELLMARK_DATA="",
)
import django  # noqa: E402
import httpx  # noqa: E402
import psycopg  # noqa: E402

django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import DatabaseError, connection  # noqa: E402
from django.urls import reverse  # noqa: E402
from django.utils import timezone  # noqa: E402
from gunicorn.app.base import BaseApplication  # noqa: E402

from accounts.actors import Actor  # noqa: E402
from accounts.services import organisation_create, token_create, user_create  # noqa: E402
from config.wsgi import application  # noqa: E402
from ledger.audit import audit_log  # noqa: E402
from ledger.keys import log_signers  # noqa: E402
from ledger.models import Certificate, Checkpoint, Entry, QueuedEntry  # noqa: E402
from ledger.selectors import consistency_proof, log_verifiers  # noqa: E402
from ledger.services import entries_queue, ledger_sequence  # noqa: E402
from registry.models import Commitment  # noqa: E402
from spellmark.certificates import checkpoints, keys, merkle, notes  # noqa: E402
from spellmark.certificates.notes import COSIGNATURE, Signer  # noqa: E402
from spellmark.certificates.policy import Policy, PolicyWitness  # noqa: E402
from spellmark.certificates.witness import Witness  # noqa: E402
from spellmark.certificates.witness_server import serve  # noqa: E402
from tests.factories import published_version  # noqa: E402

ACKNOWLEDGED, SIGNED, TOLD = FOLDER / "acknowledged", FOLDER / "signed", FOLDER / "told"
# It outlives the server: who asks while there is none waits for the next one.
DOOR = socket.create_server(("127.0.0.1", 0))
LONGEST_ANSWER_SECONDS = 10


def main() -> None:
    """Set up, kill, drain, judge."""
    call_command("setup", verbosity=0)
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as settings:
        # After a crash it makes sure of its files, in one call instead of one for each of them.
        settings.execute("ALTER SYSTEM SET recovery_init_sync_method = 'syncfs'")
        settings.execute("SELECT pg_reload_conf()")
    connection.close()
    witness = _start_witness()
    log_signers()  # opened once here, not by every sequencer anew
    url, token = _registered()
    connection.close()
    chance = random.Random(SEED)
    children = {name: _fork(work, name) for name, work in WORKERS.items()}
    children["client"] = _fork(partial(_ask, url, token), "client")
    killed: Counter[str] = Counter()
    for _ in range(KILLS):
        time.sleep(chance.uniform(0.02, 0.4))
        name = chance.choices([*WORKERS, "database"], [3, 3, 2, 2, 2, 2.5])[0]
        killed[name] += 1
        if name == "database":
            _kill_database(chance)
            _wait_for_database()
        else:
            _end(children[name], signal.SIGKILL)
            children[name] = _fork(WORKERS[name], name)
    for name in ("client", *WORKERS):
        _end(children[name], signal.SIGKILL if name.startswith("sequencer") else signal.SIGTERM)
    sys.stdout.write(json.dumps({"killed": killed, **_judge()}) + "\n")
    os.kill(witness, signal.SIGKILL)
    os.waitpid(witness, 0)
    connection.close()
    POSTGRES.stop()


def _write(name: str) -> None:
    """Queue entries, each of its own kind, and note down those whose commit was acknowledged."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    out = os.open(ACKNOWLEDGED, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    life, number = f"{name}-{os.getpid()}", 0
    while not stop.is_set():
        number += 1
        bodies = [b"%s-%d-%d" % (life.encode(), number, part) for part in range(number % 5 + 1)]
        if _through_trouble(entries_queue, bodies=bodies) is not None:
            os.write(out, b"".join(body + b"\n" for body in bodies))
        time.sleep(0.005)


def _registered() -> tuple[str, str]:
    """A published version: where its commitments are sent, and a token that may."""
    alice = user_create(email="alice@example.org", name="alice", password=secrets.token_hex())
    acme = organisation_create(name="Acme", owner=alice)
    actor = Actor.from_membership(acme.memberships.get(user=alice))
    version = published_version(actor)
    _, token = token_create(
        actor=actor, user=alice, name="pipeline", scopes=["read", "write"],
        expires_at=timezone.now() + timedelta(days=1),
    )  # fmt: skip
    # All addresses are read here, not by every web server anew.
    path = reverse("api:commitments", args=[version.model.name, version.number])
    return f"http://127.0.0.1:{DOOR.getsockname()[1]}{path}", token


def _ask(url: str, token: str, _: str) -> None:
    """Register commitments over HTTP, and note down those that the server said were registered."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    out = os.open(TOLD, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    headers = {"Authorization": f"Bearer {token}"}
    while not stop.is_set():
        digest = secrets.token_hex(32)
        body = {"digest": digest, "scheme": "key-lock/v1", "parameters": {}}
        with contextlib.suppress(httpx.HTTPError):
            answer = httpx.post(url, json=body, headers=headers, timeout=LONGEST_ANSWER_SECONDS)
            if answer.status_code == httpx.codes.CREATED:
                os.write(out, digest.encode() + b"\n")
                continue
        time.sleep(0.02)


class _Web(BaseApplication):
    """gunicorn at the door."""

    def load_config(self) -> None:
        self.cfg.set("bind", f"fd://{DOOR.fileno()}")
        self.cfg.set("loglevel", "critical")
        self.cfg.set("control_socket_disable", True)

    def load(self) -> object:
        return application


def _serve(_: str) -> None:
    _Web().run()


def _sequence(name: str) -> None:
    """Sequence in small batches, keeping every signature before anybody else sees it."""
    out = os.open(SIGNED, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    sign = checkpoints.sign

    def keep(checkpoint, signers):
        note = sign(checkpoint, signers)
        os.write(out, b"%d %s\n" % (checkpoint.size, checkpoint.root.hex().encode()))
        return note

    checkpoints.sign = keep
    while True:
        if not _through_trouble(ledger_sequence, batch=40):
            time.sleep(0.01)


WORKERS: dict[str, Callable[[str], None]] = {
    "sequencer-1": _sequence,
    "sequencer-2": _sequence,
    "writer-1": _write,
    "writer-2": _write,
    "web": _serve,
}


def _through_trouble(work: Callable[..., int | None], **arguments: object) -> int | None:
    """What it did, as a number; None when the database is gone, which is waited for."""
    try:
        return work(**arguments) or 0
    except DatabaseError:
        connection.close()
        time.sleep(0.05)
        return None


def _fork(work: Callable[[str], None], name: str) -> int:
    """A process that works as the runtime role until it is killed."""
    pid = os.fork()
    # A group of its own: what it starts is killed with it. Whoever comes first makes the group.
    with contextlib.suppress(PermissionError):
        os.setpgid(pid, pid)
    if pid:
        return pid
    _die_with_parent()
    try:
        connection.settings_dict["USER"] = "spellmark_app"
        work(name)
    finally:
        os._exit(0)


def _end(pid: int, how: signal.Signals) -> None:
    os.killpg(pid, how)
    os.waitpid(pid, 0)


def _start_witness() -> int:
    """A witness in a process of its own, which lives through everything."""
    signer = Signer("witness.example/w1", keys.generate_ed25519(), COSIGNATURE)
    verifiers = [verifier for _, verifier in log_verifiers()]
    connection.close()
    store = Witness(FOLDER / "witness.sqlite", {verifiers[0].name: verifiers}, [signer])
    server = serve(store, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.server_address[1]}"
    line = PolicyWitness("w1", signer.verifier, url)
    from django.conf import settings

    settings.LOG_POLICY.write_bytes(Policy(witnesses=(line,), quorum="w1").dumps())
    pid = os.fork()
    if not pid:
        _die_with_parent()
        server.serve_forever()
    server.server_close()
    return pid


def _kill_database(chance: random.Random) -> None:
    """SIGKILL one of its processes, which restarts all others, or every one of them at once."""
    postmaster = int((FOLDER / "postgres" / "postmaster.pid").read_text().split("\n", 1)[0])
    children = _children(postmaster)
    if children and chance.random() < 0.6:
        _kill(chance.choice(children))
        return
    os.kill(postmaster, signal.SIGSTOP)  # it must not start anew what is killed
    doomed = [postmaster, *_children(postmaster)]
    for pid in doomed:
        _kill(pid)
    for pid in doomed:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)
    try:
        POSTGRES._server.start()
    except subprocess.TimeoutExpired:  # it repairs its files still
        _wait_until_ready(FOLDER / "postgres")
        POSTGRES._server.start()


def _wait_for_database() -> None:
    """Else most kills would hit processes that wait for it, too."""
    time.sleep(0.05)
    patience = time.monotonic() + LONGEST_REPAIR_SECONDS
    while True:
        try:
            psycopg.connect(os.environ["DATABASE_URL"]).close()
            return
        except psycopg.OperationalError:
            if time.monotonic() > patience:
                raise
            time.sleep(0.02)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _children(parent: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            found.append(int(path.parent.name))
    return found


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _judge() -> dict[str, object]:
    """Drain the queue, then hold what there is against what was promised."""
    for _ in range(600):
        try:
            waiting = QueuedEntry.objects.exists()
            if not ledger_sequence() and not waiting:
                break
        except DatabaseError:
            connection.close()
            time.sleep(0.1)
    audit = audit_log()
    bodies = [
        bytes(body) for body in Entry.objects.order_by("index").values_list("body", flat=True)
    ]
    indexes = list(Entry.objects.order_by("index").values_list("index", flat=True))
    acknowledged = ACKNOWLEDGED.read_bytes().split(b"\n")[:-1]
    told = set(TOLD.read_text().split())
    registered, logged = _commitments(bodies)
    root = bytes(Checkpoint.objects.order_by("-size")[0].root)
    signed = {tuple(line.split()) for line in SIGNED.read_text().splitlines()}
    contradicted = []
    for size, old_root in signed:
        proof = consistency_proof(int(size), len(bodies))
        try:
            merkle.verify_consistency(int(size), len(bodies), bytes.fromhex(old_root), root, proof)
        except Exception as error:
            contradicted.append(f"{size}: {error}")
    return {
        "entries": len(bodies),
        "acknowledged": len(acknowledged),
        "checkpoints": Checkpoint.objects.count(),
        "signatures": len(signed),
        "compared": len(audit.compared),
        "gaps": indexes != list(range(len(indexes))),
        "twice": len(bodies) - len(set(bodies)),
        "lost": len(set(acknowledged) - set(bodies)) + len(told - logged),
        "told": len(told),
        "half_written": len(registered - logged),
        "contradicted": contradicted,
        "unwitnessed": sum(
            len(notes.parse(bytes(row.note)).signatures) < 3 for row in Checkpoint.objects.all()
        ),
    }


def _commitments(bodies: list[bytes]) -> tuple[set[str], set[str]]:
    """The digests of all commitments, and of those whose certificate is in the log."""
    leaves = {merkle.leaf_hash(body) for body in bodies}
    certificates = {row.id: bytes(row.leaf_hash) for row in Certificate.objects.all()}
    rows = Commitment.objects.values_list("digest", "certificate_id")
    return {digest for digest, _ in rows}, {
        digest for digest, number in rows if certificates.get(number) in leaves
    }


if __name__ == "__main__":
    main()
