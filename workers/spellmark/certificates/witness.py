"""A witness: remembers each log's last checkpoint and cosigns only what continues it.

c2sp.org/tlog-witness. It keeps its memory in an SQLite file of its own, so that neither the log's
operator nor the log's database can take back what was cosigned.
"""

import hashlib
import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from spellmark.certificates import checkpoints, merkle, notes
from spellmark.certificates.checkpoints import Checkpoint, Logs, parse_decimal
from spellmark.certificates.encoding import from_base64, to_base64
from spellmark.certificates.errors import FormatError, VerificationError

MAX_PROOF_LINES = 63
MAX_REQUEST_BYTES = 100_000
TEXT = "text/plain; charset=utf-8"
SIZE = "text/x.tlog.size"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS checkpoint (
    origin TEXT PRIMARY KEY, size INTEGER NOT NULL, root BLOB NOT NULL, note BLOB NOT NULL
)
"""


@dataclass(frozen=True)
class Request:
    """What a log asks of a witness: to cosign `checkpoint` after the one of `old_size` entries."""

    old_size: int
    proof: Sequence[bytes]
    checkpoint: bytes

    def dumps(self) -> bytes:
        """The body of the request."""
        lines = [f"old {self.old_size}", *map(to_base64, self.proof), "", ""]
        return "\n".join(lines).encode() + self.checkpoint

    @classmethod
    def loads(cls, data: bytes) -> "Request":
        """Read the body of a request. Raises FormatError."""
        head, blank, checkpoint = data.partition(b"\n\n")
        try:
            first, *lines = head.decode().split("\n")
        except UnicodeDecodeError:
            raise FormatError("The request is not UTF-8 text.") from None
        if not blank or not first.startswith("old "):
            raise FormatError("The request does not begin with the old size.")
        if len(lines) > MAX_PROOF_LINES:
            raise FormatError(f"The request has more than {MAX_PROOF_LINES} hashes.")
        proof = tuple(from_base64(line, "A hash of the proof") for line in lines)
        if any(len(value) != 32 for value in proof):
            raise FormatError("A hash of the proof is not 32 bytes long.")
        old_size = parse_decimal(first.removeprefix("old "), "The old size")
        return cls(old_size, proof, checkpoint)


@dataclass(frozen=True)
class Answer:
    """What the witness sends back over HTTP."""

    status: int
    body: bytes
    content_type: str = TEXT


class Witness:
    """Cosigns for the logs it was told of. Safe to call from many threads and processes.

    `logs` gives each origin its trusted keys, `signers` are the witness's own (cosignature keys),
    `store` is the SQLite file.
    """

    def __init__(self, store: Path, logs: Logs, signers: Sequence[notes.Signer]) -> None:
        self._store, self._logs, self._signers = store, logs, tuple(signers)
        self._local = threading.local()
        self._connect().execute(_SCHEMA)

    def add_checkpoint(self, body: bytes) -> Answer:
        """Answer an `add-checkpoint` request."""
        try:
            request = Request.loads(body)
            note = notes.parse(request.checkpoint)
            checkpoint = checkpoints.parse_body(note.text)
        except FormatError as error:
            return _refusal(400, error)
        trusted = self._logs.get(checkpoint.origin)
        if not trusted:
            return _refusal(404, f"The log {checkpoint.origin!r} is not known here.")
        try:
            signed_by = notes.verify(note, trusted)
        except VerificationError as error:
            return _refusal(403, error)
        if request.old_size > checkpoint.size:
            return _refusal(400, "The old size is larger than the checkpoint's.")
        # Only what was verified is kept and given out again.
        kept = _only(note, signed_by)
        return self._check_and_store(request, checkpoint, kept)

    def latest(self, origin_hash: str) -> Answer:
        """Answer `GET <origin hash>/checkpoint`: the last checkpoint that was cosigned."""
        for origin, note in self._connect().execute("SELECT origin, note FROM checkpoint"):
            if hashlib.sha256(origin.encode()).hexdigest() == origin_hash:
                return Answer(200, note)
        return _refusal(404, "No checkpoint of this log was cosigned here.")

    def _check_and_store(self, request: Request, checkpoint: Checkpoint, note: bytes) -> Answer:
        database = self._connect()
        # Takes the write lock before it reads: two requests cannot both pass the check.
        database.execute("BEGIN IMMEDIATE")
        try:
            answer = self._decide(database, request, checkpoint, note)
        except BaseException:
            database.execute("ROLLBACK")
            raise
        # With synchronous=FULL the row is on the disk before the cosignature leaves.
        database.execute("COMMIT")
        return answer

    def _decide(
        self, database: sqlite3.Connection, request: Request, checkpoint: Checkpoint, note: bytes
    ) -> Answer:
        row = database.execute(
            "SELECT size, root FROM checkpoint WHERE origin = ?", [checkpoint.origin]
        ).fetchone()
        size, root = row or (0, merkle.EMPTY_ROOT)
        if request.old_size != size:
            return Answer(409, b"%d\n" % size, SIZE)
        try:
            merkle.verify_consistency(size, checkpoint.size, root, checkpoint.root, request.proof)
        except VerificationError as error:
            return _refusal(422, error)
        lines = b"".join(signer.line(checkpoint.body()) for signer in self._signers)
        database.execute(
            "INSERT OR REPLACE INTO checkpoint VALUES (?, ?, ?, ?)",
            [checkpoint.origin, checkpoint.size, checkpoint.root, note + lines],
        )
        return Answer(200, lines)

    def _connect(self) -> sqlite3.Connection:
        if not hasattr(self._local, "database"):
            database = sqlite3.connect(self._store, isolation_level=None, timeout=30)
            database.execute("PRAGMA synchronous = FULL")
            self._local.database = database
        opened: sqlite3.Connection = self._local.database
        return opened


def _only(note: notes.Note, verifiers: Sequence[notes.Verifier]) -> bytes:
    """The note with the signatures of these keys alone."""
    wanted = {(verifier.name, verifier.key_id) for verifier in verifiers}
    lines = [s.line() for s in note.signatures if (s.name, s.key_id) in wanted]
    return note.text + b"\n" + b"".join(lines)


def _refusal(status: int, why: object) -> Answer:
    return Answer(status, f"{why}\n".encode())
