"""The evidence bundle: everything an outsider needs, in one zip that has one possible spelling.

A zip can be made to show different files to different programs. Here a bundle is read only if
writing it again gives the very same bytes: then no program can see another one in it, and nothing
hides between its files.
"""

import io
import re
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from spellmark.certificates import stored_zip
from spellmark.certificates.errors import FormatError
from spellmark.certificates.readme import README

CERTIFICATE = "certificate.sigstore.json"
PROOF = "certificate.tlog-proof"
REVOCATIONS = "revocations.json"
TRANSCRIPT = "transcript.jsonl"
README_NAME = "README.txt"

MAX_BYTES = 128 * 1024 * 1024
MAX_FILES = 20_000
MAX_NAME = 200

_ANSWER = re.compile(r"[0-9a-f]{64}")
# No part begins with a dot, so none leads out of the folder.
_PROBE = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")
_UNSOUND = (zipfile.BadZipFile, struct.error, OSError, EOFError, ValueError, RuntimeError)
_ALTERED = "Use the bundle as it was handed over: do not unpack and pack it again."


@dataclass(frozen=True)
class Bundle:
    """The files of an evidence bundle.

    `revocations` is the list of those that name this certificate, for one that was revoked;
    `answers` are raw answers by the hex SHA-256 they are named with (unchecked here); `probes` any
    further files by their path under `probes/`, which the certificate does not cover.
    """

    certificate: bytes
    proof: bytes
    transcript: bytes | None = None
    answers: Mapping[str, bytes] = field(default_factory=dict)
    probes: Mapping[str, bytes] = field(default_factory=dict)
    readme: bytes = README.encode()
    revocations: bytes | None = None

    def dumps(self) -> bytes:
        """The zip's bytes: the same files always give the same bytes. Raises FormatError."""
        files = _members(self)
        _refuse_excess(len(files), sum(map(len, files.values())))
        packed = stored_zip.pack(files)
        _refuse_excess(len(files), len(packed))
        return packed

    def save(self, path: Path) -> None:
        """Write the bundle."""
        path.write_bytes(self.dumps())

    @classmethod
    def loads(cls, data: bytes) -> "Bundle":
        """Read a zip's bytes. Raises FormatError."""
        _refuse_excess(0, len(data))
        _refuse_a_huge_directory(data)
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                members = archive.infolist()
                _refuse_excess(len(members), sum(member.file_size for member in members))
                if any(member.compress_type != zipfile.ZIP_STORED for member in members):
                    raise FormatError("The bundle was packed anew.", hint=_ALTERED)
                files = {member.filename: _stored(member, data) for member in members}
        except _UNSOUND as error:
            raise FormatError("The bundle is not a sound zip file.", hint=_ALTERED) from error
        bundle = _from_members(files)
        if bundle.dumps() != data:
            raise FormatError("The bundle is not packed as Spellmark packs it.", hint=_ALTERED)
        return bundle

    @classmethod
    def load(cls, path: Path) -> "Bundle":
        """Read a bundle from disk. Raises FormatError."""
        try:
            with path.open("rb") as file:
                return cls.loads(file.read(MAX_BYTES + 1))
        except OSError as error:
            raise FormatError(
                f"The bundle {path} cannot be read: {error.strerror}.", hint="Check the path."
            ) from None


def _members(bundle: Bundle) -> dict[str, bytes]:
    """The files by their names in the zip, in the zip's order."""
    files = {CERTIFICATE: bundle.certificate, PROOF: bundle.proof}
    if bundle.revocations is not None:
        files[REVOCATIONS] = bundle.revocations
    if bundle.transcript is not None:
        files[TRANSCRIPT] = bundle.transcript
    files |= {f"answers/{name}": bundle.answers[name] for name in sorted(bundle.answers)}
    files |= {f"probes/{name}": bundle.probes[name] for name in sorted(bundle.probes)}
    files[README_NAME] = bundle.readme
    for name in files:
        _refuse_a_strange_name(name)
    return files


def _from_members(files: dict[str, bytes]) -> Bundle:
    for name in files:
        _refuse_a_strange_name(name)
    for name in (CERTIFICATE, PROOF, README_NAME):
        if name not in files:
            raise FormatError(f"The bundle lacks {name}.", hint="Ask for the whole bundle.")
    return Bundle(
        certificate=files[CERTIFICATE],
        proof=files[PROOF],
        transcript=files.get(TRANSCRIPT),
        answers=_under("answers/", files),
        probes=_under("probes/", files),
        readme=files[README_NAME],
        revocations=files.get(REVOCATIONS),
    )


def _under(folder: str, files: dict[str, bytes]) -> dict[str, bytes]:
    return {n.removeprefix(folder): files[n] for n in files if n.startswith(folder)}


def _stored(member: zipfile.ZipInfo, data: bytes) -> bytes:
    """A file where the directory says that it lies; packing it anew shows whether that is true."""
    start = member.header_offset + stored_zip.LOCAL_BYTES + len(member.filename)
    return data[start : start + member.file_size]


def _refuse_a_strange_name(name: str) -> None:
    folder, _, rest = name.partition("/")
    known = name in (CERTIFICATE, PROOF, REVOCATIONS, TRANSCRIPT, README_NAME)
    answer = folder == "answers" and _ANSWER.fullmatch(rest)
    probe = folder == "probes" and _PROBE.fullmatch(rest)
    if len(name) > MAX_NAME or not (known or answer or probe):
        raise FormatError(f"The bundle may not hold a file named {name[:MAX_NAME]!r}.")


def _refuse_excess(count: int, size: int) -> None:
    if count > MAX_FILES:
        raise FormatError(f"The bundle holds more than {MAX_FILES:,} files.")
    if size > MAX_BYTES:
        raise FormatError(f"The bundle is larger than {MAX_BYTES // 1024**2} MiB.")


def _refuse_a_huge_directory(data: bytes) -> None:
    """Look at the zip's last record alone, before a list of millions of files is unfolded."""
    end = data[-22:]
    is_last_record = len(end) == 22 and end.startswith(b"PK\x05\x06") and end.endswith(b"\0\0")
    if not is_last_record or data[-42:].startswith(b"PK\x06\x07"):
        raise FormatError("The bundle is not a sound zip file.", hint=_ALTERED)
    count, directory = struct.unpack("<HI", end[10:16])
    _refuse_excess(count, 0)
    if directory > MAX_FILES * (46 + MAX_NAME):
        raise FormatError(f"The bundle holds more than {MAX_FILES:,} files.")
