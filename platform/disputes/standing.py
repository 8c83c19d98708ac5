"""Whose registration is earlier: what the accused lodged, held against the owner's."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from disputes.models import Case, Lodged
from disputes.registration import read_genuine, run_registration
from ledger.genuine import Genuine
from ledger.models import Certificate
from registry import storage
from registry.models import Version
from spellmark.certificates.bundle import Bundle
from spellmark.certificates.certificate import read
from spellmark.certificates.checkpoints import parse_body
from spellmark.certificates.notes import parse as parse_note
from spellmark.certificates.statements import Registration, parse
from spellmark.certificates.tlog_proof import TlogProof
from spellmark.certificates.trust import Trust
from spellmark.certificates.verify import verify_files
from spellmark.errors import SpellmarkError
from verification.models import Run, Suspect

EARLIER, LATER, UNDECIDED, OTHER = "earlier", "later", "undecided", "another model"


@dataclass(frozen=True, kw_only=True)
class Record:
    """What a lodged registration says, from its signed bytes.

    logged_at: by this log's clock, None for another log, whose clock is not known here. stamped_at:
    by an authority of RFC 3161 that this installation trusts. files: the SHA-256 of its files, as
    far as they are known. problem: why it does not hold; then nothing else is to be believed.
    """

    registration: Registration | None
    log: str
    index: int
    ours: bool
    logged_at: datetime | None
    stamped_at: datetime | None
    files: frozenset[str]
    problem: str = ""


@dataclass(frozen=True)
class Comparison:
    """A lodged registration against one run: whose is earlier, and how that is known.

    outcome: `earlier` where that of the accused is. proved: whether it is of the suspect itself,
    by the digest of a file; an address is the suspect's on the word of the accused alone.
    """

    run: Run
    outcome: str
    proved: bool
    how: str


@dataclass(frozen=True)
class Standing:
    """Something lodged, what it says, and what it means for each run of the case."""

    lodged: Lodged
    record: Record
    comparisons: tuple[Comparison, ...]


def case_standings(case: Case) -> tuple[Standing, ...]:
    """Everything that was lodged against a case, in order, against its runs."""
    runs = list(
        case.runs.select_related(
            "suspect", "version__model", "protection__source__model",
            "protection__result__model", "protection__commitment",
        ).order_by("created_at", "id")
    )  # fmt: skip
    return tuple(standing_of(lodged, runs) for lodged in case.lodged.select_related("organisation"))


def standing_of(lodged: Lodged, runs: Iterable[Run]) -> Standing:
    """One of them."""
    record = read_record(lodged)
    return Standing(lodged, record, tuple(compare(record, run) for run in runs))


def conclusion_of(standings: Iterable[Standing]) -> str:
    """What the case comes to, where a registration of the accused is earlier; else empty."""
    found = [
        comparison
        for standing in standings
        for comparison in standing.comparisons
        if comparison.outcome == EARLIER
    ]
    if not found:
        return ""
    if any(one.proved for one in found):
        return (
            "The claim is not supported: the suspect was registered before the owner’s model and "
            "secret were."
        )
    return (
        "The claim is not supported as it stands: the accused registered a model before the owner "
        "did, and says that it is the suspect. Whether it is, an address does not show."
    )


def read_record(lodged: Lodged) -> Record:
    """What was lodged, checked anew."""
    if lodged.certificate_id is not None:
        return record_of_certificate(Certificate.objects.get(id=lodged.certificate_id))
    try:
        return record_of_bundle(storage.get(lodged.bundle_sha256), storage.get(lodged.trust_sha256))
    except SpellmarkError as error:
        return _broken(error.message)


def record_of_certificate(certificate: Certificate) -> Record:
    """A registration of this log."""
    problems: list[str] = []
    found = read_genuine(certificate, "registration", problems)
    if found is None:
        return _broken(problems[0])
    if not isinstance(found.statement, Registration):
        return _broken("This certificate is no registration.")
    if found.revoked:
        return _broken("This registration was revoked.")
    return Record(
        registration=found.statement,
        log="this registry’s log",
        index=found.index,
        ours=True,
        logged_at=found.logged_at,
        stamped_at=found.stamped_at,
        files=_files(certificate),
    )


def record_of_bundle(data: bytes, trust_file: bytes) -> Record:
    """A registration in an evidence bundle of another log. Raises FormatError, SigningKeyError."""
    bundle, trusted = Bundle.loads(data), Trust.loads(trust_file)
    if not isinstance(parse(read(bundle.certificate).envelope.payload), Registration):
        # Before anything is computed for somebody who may be anybody.
        return _broken("The bundle holds no registration.")
    checks = verify_files(bundle, trusted)
    failed = [check.detail for check in checks.checks if check.passed is False]
    if failed or not checks.passed:
        return _broken(" ".join(failed) or "The bundle does not verify.")
    assert isinstance(checks.statement, Registration)
    proof = TlogProof.loads(bundle.proof)
    return Record(
        registration=checks.statement,
        log=parse_body(parse_note(proof.checkpoint).text).origin,
        index=proof.index,
        ours=False,
        logged_at=None,
        # An ECDSA signature does not bind its key: to an old one that was stamped a key can be made
        # afterwards under which it fits any words, and the key set here is the accused's own.
        stamped_at=None,
        files=frozenset(),
    )


def compare(record: Record, run: Run) -> Comparison:
    """A lodged registration against a run."""
    if record.registration is None:
        return Comparison(run, UNDECIDED, False, f"It does not hold: {record.problem}")
    proved = run.suspect.kind == Suspect.Kind.FILE
    if proved and not _is_of(record, run.suspect.sha256):
        return Comparison(
            run, OTHER, False, "It is of another model than the suspect’s file, so it says nothing."
        )
    problems: list[str] = []
    owners = run_registration(run, problems)
    if owners is None:
        return Comparison(run, EARLIER, proved, f"The owner’s does not hold: {problems[0]}")
    outcome, how = _order(record, owners)
    if not proved and outcome == EARLIER:
        how += " That it is of the model behind the suspect’s address is the word of the accused."
    return Comparison(run, outcome, proved, how)


def _order(record: Record, owners: Genuine) -> tuple[str, str]:
    theirs_told = f"That of the accused: {_when(record.logged_at, record.stamped_at)}."
    owners_told = f"The owner’s: {_when(owners.logged_at, owners.stamped_at)}."
    if record.ours:
        # Of one log: no clock is needed.
        outcome = EARLIER if record.index < owners.index else LATER
        how = f"Entry {record.index:,} against entry {owners.index:,} of the same log."
        return outcome, f"{how} {theirs_told} {owners_told}"
    return UNDECIDED, (
        f"It stands in {record.log}, whose clock and keys nobody here vouches for: when it was "
        f"made cannot be told. {owners_told}"
    )


def _when(logged: datetime | None, stamped: datetime | None) -> str:
    parts = []
    if logged is not None:
        parts.append(f"logged {_time(logged)}")
    if stamped is not None:
        parts.append(f"stamped by an outside authority {_time(stamped)}")
    return ", ".join(parts) or "no time that is trusted here"


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%-d %B %Y, %H:%M:%S} UTC"


def _is_of(record: Record, sha256: str) -> bool:
    """Whether the registered version holds this very file."""
    assert record.registration is not None
    # The root of a version of one file is the digest of that file's digest.
    alone = hashlib.sha256(bytes.fromhex(sha256)).hexdigest()
    return sha256 in record.files or record.registration.model_digest == alone


def _files(certificate: Certificate) -> frozenset[str]:
    """The files of the versions that have the registered root and belong to who registered it."""
    roots = certificate.subjects.filter(name="model").values_list("digest", flat=True)
    versions = Version.objects.filter(
        root_digest__in=list(roots), model__organisation=certificate.organisation_id
    )
    found: Any = versions.values_list("files__sha256", flat=True)
    return frozenset(filter(None, found))


def _broken(problem: str) -> Record:
    return Record(
        registration=None, log="", index=-1, ours=False, logged_at=None, stamped_at=None,
        files=frozenset(), problem=problem,
    )  # fmt: skip
