"""Checkpoints: a log's signed word on its size and root (c2sp.org/tlog-checkpoint)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from spellmark.certificates import notes
from spellmark.certificates.encoding import from_base64, to_base64
from spellmark.certificates.errors import FormatError, VerificationError

Logs = Mapping[str, Sequence[notes.Verifier]]
"""The trusted keys of every trusted log, by the log's origin."""

_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True)
class Checkpoint:
    """The log `origin` had `size` entries under `root`, 32 bytes."""

    origin: str
    size: int
    root: bytes

    def body(self) -> bytes:
        """The note's text: three lines. Extension lines are not written."""
        return f"{self.origin}\n{self.size}\n{to_base64(self.root)}\n".encode()


def parse_body(text: bytes) -> Checkpoint:
    """Read the note's text; extension lines are refused. Raises FormatError."""
    try:
        lines = text.decode().split("\n")
    except UnicodeDecodeError:
        raise FormatError("A checkpoint is not UTF-8 text.") from None
    if len(lines) != 4 or not lines[0] or lines[3]:
        raise FormatError("A checkpoint does not have exactly an origin, a size and a root.")
    root = from_base64(lines[2], "The root of a checkpoint")
    if len(root) != 32:
        raise FormatError("The root of a checkpoint is not 32 bytes long.")
    return Checkpoint(lines[0], parse_decimal(lines[1], "The size of a checkpoint"), root)


def parse_decimal(text: str, what: str) -> int:
    """A whole number below 2**63, without leading zeros. Raises FormatError."""
    if not _DECIMAL.fullmatch(text) or int(text) >= 1 << 63:
        raise FormatError(f"{what} is not a whole number.")
    return int(text)


def sign(checkpoint: Checkpoint, signers: Sequence[notes.Signer]) -> bytes:
    """The signed checkpoint, with one signature line for each signer."""
    parse_body(checkpoint.body())
    return notes.sign(checkpoint.body(), signers)


def open_checkpoint(data: bytes, logs: Logs) -> Checkpoint:
    """Verify a signed checkpoint with the keys of the log it names, and read it.

    Raises FormatError, VerificationError.
    """
    note = notes.parse(data)
    checkpoint = parse_body(note.text)
    verifiers = logs.get(checkpoint.origin)
    if verifiers is None:
        raise VerificationError(
            f"The log {checkpoint.origin!r} is not among the trusted logs.",
            hint="Use the trust file of whoever runs that log, if you trust them.",
        )
    notes.verify(note, verifiers)
    return checkpoint
