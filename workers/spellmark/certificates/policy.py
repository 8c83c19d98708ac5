"""The tlog-policy file: which logs and witnesses are believed, and how many of them it takes.

c2sp.org/tlog-policy. Written by hand or by a log; read by the log before it publishes and by
whoever checks a proof.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from spellmark.certificates import checkpoints, notes
from spellmark.certificates.checkpoints import Checkpoint, Logs
from spellmark.certificates.errors import FormatError, VerificationError
from spellmark.certificates.notes import COSIGNATURE, ED25519, ML_DSA_44, Verifier

NONE = "none"
MAX_POLICY_BYTES = 1_000_000
_ALLOWED = re.compile(rb"[\t\n\x20-\x7e\x80-\xff]*")


@dataclass(frozen=True)
class PolicyLog:
    """A log's key; its name is the log's origin."""

    verifier: Verifier
    url: str | None = None


@dataclass(frozen=True)
class PolicyWitness:
    """A witness's key under the name it has within the file; `url` is its submission prefix."""

    name: str
    verifier: Verifier
    url: str | None = None


@dataclass(frozen=True)
class Group:
    """Holds when at least `needed` of its members do."""

    name: str
    needed: int
    members: tuple[str, ...]


@dataclass(frozen=True)
class Policy:
    """Logs, witnesses, groups in the order in which they build on each other, and the quorum."""

    logs: tuple[PolicyLog, ...] = ()
    witnesses: tuple[PolicyWitness, ...] = ()
    groups: tuple[Group, ...] = ()
    quorum: str = NONE
    _names: Mapping[str, PolicyWitness | Group] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        names: dict[str, PolicyWitness | Group] = {w.name: w for w in self.witnesses}
        names |= {group.name: group for group in self.groups}
        object.__setattr__(self, "_names", names)

    @classmethod
    def loads(cls, data: bytes) -> "Policy":
        """Read the file's bytes. Raises FormatError with the number of the line."""
        if len(data) > MAX_POLICY_BYTES or not _ALLOWED.fullmatch(data):
            raise FormatError("A policy is too long or has control characters.")
        reader = _Reader()
        for number, line in enumerate(data.decode("utf-8", "surrogateescape").split("\n"), 1):
            # Only spaces and tabs separate: `split()` would take other blanks for them, too.
            words = [word for word in re.split("[ \t]+", line) if word]
            if words and not words[0].startswith("#"):
                try:
                    reader.read(words)
                except FormatError as error:
                    raise FormatError(f"Line {number} of the policy: {error}") from None
        return reader.policy()

    @classmethod
    def load(cls, path: Path) -> "Policy":
        """Read a policy from disk. Raises FormatError."""
        try:
            with path.open("rb") as file:
                return cls.loads(file.read(MAX_POLICY_BYTES + 1))
        except OSError as error:
            raise FormatError(
                f"The policy {path} cannot be read: {error.strerror}.", hint="Check the path."
            ) from None

    def dumps(self) -> bytes:
        """The file's bytes."""
        lines = [["log", item.verifier.vkey, item.url or ""] for item in self.logs]
        lines += [["witness", w.name, w.verifier.vkey, w.url or ""] for w in self.witnesses]
        lines += [["group", g.name, str(g.needed), *g.members] for g in self.groups]
        lines.append(["quorum", self.quorum])
        text = "".join(" ".join(line).rstrip() + "\n" for line in lines)
        data = text.encode("utf-8", "surrogateescape")
        Policy.loads(data)
        return data

    def is_met(self, witnesses: Collection[str]) -> bool:
        """Whether cosignatures of these witnesses, by their names in the file, are enough."""
        return self.quorum == NONE or self._holds(self.quorum, witnesses)

    def cosigners(self, note: notes.Note) -> list[PolicyWitness]:
        """The witnesses whose cosignatures the note carries. Raises VerificationError."""
        found = notes.verified(note, [witness.verifier for witness in self.witnesses])
        return [witness for witness in self.witnesses if witness.verifier in found]

    def open_checkpoint(self, data: bytes, logs: Logs | None = None) -> Checkpoint:
        """The checkpoint, if one of the logs signed it and the quorum cosigned it.

        `logs` serve a policy that names none. Raises FormatError, VerificationError.
        """
        if self.logs or logs is None:
            logs = self._logs()
        checkpoint = checkpoints.open_checkpoint(data, logs)
        names = [witness.name for witness in self.cosigners(notes.parse(data))]
        if not self.is_met(names):
            raise VerificationError(
                f"The checkpoint of {checkpoint.size} entries lacks cosignatures: the quorum"
                f" {self.quorum} is not reached by {', '.join(names) or 'no witness'}."
            )
        return checkpoint

    def _logs(self) -> Logs:
        found: dict[str, list[Verifier]] = {}
        for log in self.logs:
            found.setdefault(log.verifier.name, []).append(log.verifier)
        return found

    def _holds(self, name: str, witnesses: Collection[str]) -> bool:
        item = self._names[name]
        if isinstance(item, PolicyWitness):
            return name in witnesses
        return sum(self._holds(member, witnesses) for member in item.members) >= item.needed


class _Reader:
    """Takes a policy's lines one by one."""

    def __init__(self) -> None:
        self.logs: list[PolicyLog] = []
        self.witnesses: list[PolicyWitness] = []
        self.groups: list[Group] = []
        self.quorum: str | None = None
        self._names: set[str] = set()
        self._members: set[str] = set()

    def policy(self) -> Policy:
        if self.quorum is None:
            raise FormatError("A policy has no quorum line.", hint="Write: quorum none")
        return Policy(tuple(self.logs), tuple(self.witnesses), tuple(self.groups), self.quorum)

    def read(self, words: list[str]) -> None:
        keyword, *rest = words
        if keyword == "log" and len(rest) in (1, 2):
            verifier = self._new(rest[0], (ED25519, ML_DSA_44), [x.verifier for x in self.logs])
            self.logs.append(PolicyLog(verifier, *rest[1:]))
        elif keyword == "witness" and len(rest) in (2, 3):
            known = [x.verifier for x in self.witnesses]
            verifier = self._new(rest[1], (COSIGNATURE, ML_DSA_44), known)
            self.witnesses.append(PolicyWitness(self._name(rest[0]), verifier, *rest[2:]))
        elif keyword == "group" and len(rest) >= 3:
            self._group(*rest)
        elif keyword == "quorum" and len(rest) == 1:
            if self.quorum is not None:
                raise FormatError("there is a quorum line already.")
            if rest[0] != NONE and rest[0] not in self._names:
                raise FormatError(f"{rest[0]} is not defined before it is used.")
            self.quorum = rest[0]
        else:
            raise FormatError("it is not a log, witness, group or quorum line.")

    def _group(self, name: str, threshold: str, *members: str) -> None:
        for member in members:
            if member not in self._names:
                raise FormatError(f"{member} is not defined before it is used.")
            if member in self._members:
                raise FormatError(f"{member} is a member twice.")
            self._members.add(member)
        needed = {"any": "1", "all": str(len(members))}.get(threshold, threshold)
        if not re.fullmatch("[1-9][0-9]{0,5}", needed) or int(needed) > len(members):
            raise FormatError(f"{threshold} is not a number of members.")
        self.groups.append(Group(self._name(name), int(needed), members))

    def _name(self, name: str) -> str:
        if name == NONE or name in self._names:
            raise FormatError(
                f"the name {name} is taken, and every witness and group needs one of its own."
            )
        self._names.add(name)
        return name

    def _new(self, vkey: str, kinds: tuple[int, ...], known: list[Verifier]) -> Verifier:
        verifier = Verifier.from_vkey(vkey)
        if verifier.kind not in kinds:
            raise FormatError("the key is not of a type for this line.")
        if verifier.public_key in [other.public_key for other in known]:
            raise FormatError("the key is listed twice.")
        return verifier
