"""The `.tlog-proof` file: an offline proof that an entry stands in a log (c2sp.org/tlog-proof)."""

from collections.abc import Sequence
from dataclasses import dataclass

from spellmark.certificates import checkpoints, merkle
from spellmark.certificates.checkpoints import Checkpoint, Logs, parse_decimal
from spellmark.certificates.encoding import from_base64, to_base64
from spellmark.certificates.errors import FormatError

HEADER = "c2sp.org/tlog-proof@v1"
MAX_HASHES = 63


@dataclass(frozen=True)
class TlogProof:
    """An entry's index, its inclusion proof (32 bytes each) and the signed checkpoint, verbatim.

    `extra` is not covered by any signature: never rely on it.
    """

    index: int
    hashes: Sequence[bytes]
    checkpoint: bytes
    extra: bytes | None = None

    def dumps(self) -> bytes:
        """The file's bytes."""
        extra = [] if self.extra is None else [f"extra {to_base64(self.extra)}"]
        hashes = [to_base64(value) for value in self.hashes]
        lines = [HEADER, *extra, f"index {self.index}", *hashes, "", ""]
        return "\n".join(lines).encode() + self.checkpoint

    @classmethod
    def loads(cls, data: bytes) -> "TlogProof":
        """Read the file's bytes; the checkpoint is not yet looked at. Raises FormatError."""
        head, blank, checkpoint = data.partition(b"\n\n")
        if not blank:
            raise FormatError("The log proof lacks its checkpoint.")
        try:
            lines = head.decode().split("\n")
        except UnicodeDecodeError:
            raise FormatError("The log proof is not UTF-8 text.") from None
        if lines.pop(0) != HEADER:
            raise FormatError("The log proof is not a c2sp.org/tlog-proof@v1 file.")
        extra = None
        if lines and lines[0].startswith("extra "):
            extra = from_base64(lines.pop(0).removeprefix("extra "), "The proof's extra data")
        if not lines or not lines[0].startswith("index "):
            raise FormatError("The log proof does not say which entry it is for.")
        index = parse_decimal(lines.pop(0).removeprefix("index "), "The index of the log proof")
        if len(lines) > MAX_HASHES:
            raise FormatError(f"The log proof has more than {MAX_HASHES} hashes.")
        hashes = tuple(from_base64(line, "A hash of the log proof") for line in lines)
        if any(len(value) != 32 for value in hashes):
            raise FormatError("A hash of the log proof is not 32 bytes long.")
        return cls(index, hashes, checkpoint, extra)


def verify(proof: TlogProof, entry: bytes, logs: Logs) -> Checkpoint:
    """The checkpoint of a trusted log that includes the entry at the proof's index.

    Raises FormatError, VerificationError.
    """
    checkpoint = checkpoints.open_checkpoint(proof.checkpoint, logs)
    leaf = merkle.leaf_hash(entry)
    merkle.verify_inclusion(leaf, proof.index, checkpoint.size, proof.hashes, checkpoint.root)
    return checkpoint
