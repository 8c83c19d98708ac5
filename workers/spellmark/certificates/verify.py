"""The offline check of an evidence bundle: no network, no database, every step told in words."""

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from spellmark.certificates import (
    certificate,
    dsse,
    entries,
    notes,
    revocations,
    statements,
    timestamps,
    tlog_proof,
)
from spellmark.certificates.bundle import Bundle
from spellmark.certificates.certificate import CertificateFile
from spellmark.certificates.dsse import Envelope
from spellmark.certificates.encoding import to_time
from spellmark.certificates.errors import FormatError, VerificationError
from spellmark.certificates.policy import NONE, Policy
from spellmark.certificates.revocations import Revoked
from spellmark.certificates.statements import Statement, Verdict, kind_of
from spellmark.certificates.trust import Trust
from spellmark.errors import SpellmarkError

if TYPE_CHECKING:
    from spellmark.evidence.transcript import Exchange

T = TypeVar("T")

CHECKS = (
    "bundle", "signature", "statement", "validity", "log", "witnesses", "timestamp", "revocation",
    "transcript", "answers", "statistic",
)  # fmt: skip
"""The steps of every report, in this order."""

RECOMPUTED_METHODS = (
    "keyed-labels", "random-key-test", "dynamic-watermark", "trigger-watermark", "agreement",
    "correlation", "weights", "external-feature", "external-feature-gradients",
)  # fmt: skip
# Sums in another order on another machine may differ in the last digits, never in more.
_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Check:
    """One step: `passed` is None for a step that could not be taken or does not apply."""

    name: str
    passed: bool | None
    detail: str


@dataclass(frozen=True)
class VerificationReport:
    """The steps in order. `statement` may be believed only if the report passed."""

    checks: tuple[Check, ...]
    statement: Statement | None

    @property
    def passed(self) -> bool:
        """Whether nothing failed and the signature, statement, validity and log were checked."""
        done = {check.name for check in self.checks if check.passed}
        needed = {"bundle", "signature", "statement", "validity", "log"}
        return needed <= done and not any(check.passed is False for check in self.checks)


class _Checks:
    """Takes steps one after the other and keeps what each of them said."""

    def __init__(self) -> None:
        self.done: list[Check] = []

    def take(self, name: str, step: Callable[[], str]) -> bool:
        try:
            self.done.append(Check(name, True, step()))
        except SpellmarkError as error:
            self.done.append(Check(name, False, str(error)))
        return bool(self.done[-1].passed)

    def skip(self, name: str, why: str) -> None:
        self.done.append(Check(name, None, why))


def verify_bundle(
    path: Path,
    trust: Trust,
    revoked: list[Revoked] | None = None,
    policy: Policy | None = None,
) -> VerificationReport:
    """Check an evidence bundle on disk. Never raises for a bad bundle: the report says it all."""
    try:
        bundle = Bundle.load(path)
    except FormatError as error:
        return VerificationReport((Check("bundle", False, str(error)),), None)
    return verify_files(bundle, trust, revoked, policy)


def verify_files(
    bundle: Bundle,
    trust: Trust,
    revoked: list[Revoked] | None = None,
    policy: Policy | None = None,
) -> VerificationReport:
    """Check the files of an evidence bundle that was read.

    `revoked` is the issuer's own list. `policy` says how many witnesses must have cosigned.
    """
    checks = _Checks()
    checks.take("bundle", lambda: _describe(bundle))
    try:
        file = certificate.read(bundle.certificate)
    except FormatError as error:
        checks.done.append(Check("signature", False, str(error)))
        for name in CHECKS[2:]:
            checks.skip(name, "Not checked, because the certificate cannot be read.")
        return VerificationReport(tuple(checks.done), None)

    envelope = file.envelope
    signed = checks.take("signature", lambda: _check_signature(envelope, trust))
    statement: Statement | None = None
    try:
        statement = statements.parse(envelope.payload)
        well_formed = f"It is a well-formed {kind_of(statement)}."
        checks.done.append(Check("statement", True, well_formed))
    except FormatError as error:
        checks.done.append(Check("statement", False, str(error)))
    if statement is None:
        checks.skip("validity", "Not checked, because the statement cannot be read.")
    else:
        stated = statement
        checks.take("validity", lambda: _check_validity(envelope, stated, trust))
    checks.take("log", lambda: _check_log(bundle, envelope, statement, trust))
    _check_witnesses(checks, bundle, trust, policy)
    _check_timestamp(checks, file, statement, trust)
    _check_revocation(checks, bundle, envelope, revoked, trust)
    _check_evidence(checks, bundle, statement, signed)
    return VerificationReport(tuple(checks.done), statement)


def _check_evidence(
    checks: _Checks, bundle: Bundle, statement: Statement | None, signed: bool
) -> None:
    if statement is None:
        for name in ("transcript", "answers", "statistic"):
            checks.skip(name, "Not checked, because the statement cannot be read.")
        return
    whole = checks.take("transcript", lambda: _check_transcript(bundle, statement))
    read = cache(lambda: _read_transcript(bundle.transcript or b""))
    checks.take("answers", lambda: _check_answers(bundle, read))
    if not isinstance(statement, Verdict):
        checks.skip("statistic", f"A {kind_of(statement)} has none.")
    elif statement.method not in RECOMPUTED_METHODS:
        checks.skip("statistic", f"The method {statement.method!r} cannot be recomputed offline.")
    elif not (signed and whole):
        # Its lines may be anybody's: nothing heavy is computed from them.
        checks.skip("statistic", "Not recomputed, because the transcript is not vouched for.")
    else:
        checks.take("statistic", lambda: _check_statistic(read(), statement))


def _describe(bundle: Bundle) -> str:
    return (
        f"It is whole: {len(bundle.answers)} raw answers and {len(bundle.probes)} probes beside the"
        " certificate. README.txt and the probes are not covered by the certificate."
    )


def _check_signature(envelope: Envelope, trust: Trust) -> str:
    keys = {keyid: key.public_key for keyid, key in trust.by_keyid().items()}
    dsse.verify(envelope, keys)
    return f"The trusted key {envelope.keyid[:16]}… signed the certificate."


def _check_validity(envelope: Envelope, statement: Statement, trust: Trust) -> str:
    key = trust.by_keyid().get(envelope.keyid)
    stated_at = to_time(statement.stated_at)
    if key is None:
        raise VerificationError("The certificate's key is not a trusted one.")
    if not key.is_valid_at(statement.stated_at):
        end = "" if key.valid_until is None else f" until {to_time(key.valid_until)}"
        raise VerificationError(
            f"The certificate is of {stated_at}, but its key is valid from"
            f" {to_time(key.valid_from)}{end}."
        )
    return f"The key was valid at {stated_at}, when the certificate says it was made."


def _check_log(
    bundle: Bundle, envelope: Envelope, statement: Statement | None, trust: Trust
) -> str:
    proof = tlog_proof.TlogProof.loads(bundle.proof)
    logs = trust.logs(statement.stated_at if statement else None)
    checkpoint = tlog_proof.verify(proof, entries.certificate_entry(envelope), logs)
    if isinstance(statement, Verdict):
        registered = statement.registration_index
        if registered is not None and registered >= proof.index:
            raise VerificationError(
                f"The verdict is entry {proof.index} of the log, but the registration it rests on"
                f" is entry {registered}: the claim is older than its registration."
            )
    return (
        f"The certificate is entry {proof.index} of the log {checkpoint.origin},"
        f" which had {checkpoint.size} entries."
    )


def _check_witnesses(checks: _Checks, bundle: Bundle, trust: Trust, policy: Policy | None) -> None:
    if policy is None:
        checks.skip("witnesses", "Not checked: no policy was given that asks for witnesses.")
    elif policy.quorum == NONE:
        checks.skip("witnesses", "The policy asks for no witnesses.")
    else:
        checks.take("witnesses", lambda: _check_quorum(bundle, trust, policy))


def _check_quorum(bundle: Bundle, trust: Trust, policy: Policy) -> str:
    note = tlog_proof.TlogProof.loads(bundle.proof).checkpoint
    checkpoint = policy.open_checkpoint(note, trust.logs())
    names = ", ".join(witness.name for witness in policy.cosigners(notes.parse(note)))
    return (
        f"{names} cosigned the checkpoint of {checkpoint.size} entries: the quorum"
        f" {policy.quorum} is reached."
    )


def _check_timestamp(
    checks: _Checks, file: CertificateFile, statement: Statement | None, trust: Trust
) -> None:
    if not file.timestamps:
        checks.skip("timestamp", "The certificate has no timestamp of an outside authority.")
    elif not trust.timestamp_authorities:
        checks.skip("timestamp", "Not checked: the trust file names no timestamp authority.")
    else:
        checks.take("timestamp", lambda: _read_timestamps(file, statement, trust))


def _read_timestamps(file: CertificateFile, statement: Statement | None, trust: Trust) -> str:
    authorities = [timestamps.load_authority(pem) for pem in trust.timestamp_authorities]
    key = trust.by_keyid().get(file.envelope.keyid)
    for response in file.timestamps:
        stamped_at = timestamps.verify(response, file.envelope.signature, authorities)
        if statement and statement.stated_at > stamped_at + timestamps.CLOCK_SKEW:
            raise VerificationError(
                f"The certificate says that it was made at {to_time(statement.stated_at)}, but its"
                f" signature was stamped before, at {to_time(stamped_at)}."
            )
        if key and not key.is_valid_at(stamped_at):
            raise VerificationError(
                f"The signature was stamped at {to_time(stamped_at)}, when its key was not valid."
            )
    return f"A trusted authority saw the signature at {to_time(stamped_at)}."


def _check_revocation(
    checks: _Checks,
    bundle: Bundle,
    envelope: Envelope,
    revoked: list[Revoked] | None,
    trust: Trust,
) -> None:
    if bundle.revocations is None and revoked is None:
        checks.skip(
            "revocation",
            "The bundle holds no revocation. A later one stands in the issuer's list only.",
        )
        return

    def check() -> str:
        listed = list(revoked or [])
        if bundle.revocations is not None:
            listed += revocations.loads(bundle.revocations)
        revocations.check(listed, entries.certificate_digest(envelope), trust)
        return f"None of the {len(listed)} listed revocations names the certificate."

    checks.take("revocation", check)


def _check_transcript(bundle: Bundle, statement: Statement) -> str:
    if not isinstance(statement, Verdict):
        kind = kind_of(statement)
        if bundle.transcript is not None:
            raise VerificationError(f"A {kind} has no transcript, but the bundle holds one.")
        return f"A {kind} has none."
    if bundle.transcript is None:
        raise VerificationError(
            "The transcript is missing from the bundle.", hint="Ask for the whole bundle."
        )
    if hashlib.sha256(bundle.transcript).hexdigest() != statement.transcript_digest:
        raise VerificationError(
            "The transcript is not the one that the certificate names: it was altered or exchanged."
        )
    return "The transcript is the one that the certificate names."


def _check_answers(bundle: Bundle, read: Callable[[], "_Transcript"]) -> str:
    if not bundle.answers:
        return "The bundle holds no raw answers."
    for name, answer in bundle.answers.items():
        if hashlib.sha256(answer).hexdigest() != name:
            raise VerificationError(f"The raw answer {name[:16]}… was altered.")
    if unknown := bundle.answers.keys() - _answer_digests(read()):
        raise VerificationError(f"The transcript knows of no raw answer {min(unknown)[:16]}….")
    return f"All {len(bundle.answers)} raw answers are those that the transcript names."


def _check_statistic(transcript: "_Transcript", verdict: Verdict) -> str:
    found = _recompute(transcript)
    if found.get("method") != verdict.method:
        raise VerificationError(
            f"The certificate says {verdict.method!r}, but its transcript is of a run by"
            f" {found.get('method')!r}."
        )
    if found.get("evidenceClass") != verdict.evidence_class:
        raise VerificationError(
            f"The certificate calls its evidence {verdict.evidence_class}, but a run by"
            f" {verdict.method!r} is {found.get('evidenceClass')}."
        )
    stated_values = {
        "statistic": verdict.statistic,
        "pValue": verdict.p_value,
        "alpha": verdict.alpha,
        "smallestP": verdict.smallest_p,
    }
    for name, stated in stated_values.items():
        if not _same(found.get(name), stated):
            raise VerificationError(
                f"The certificate says {name} {stated}, but its transcript gives {found.get(name)}."
            )
    if found.get("verdict") != verdict.verdict:
        raise VerificationError(
            f"The certificate says {verdict.verdict!r}, but its transcript gives"
            f" {found.get('verdict')!r}."
        )
    told = found.get("told")
    for name, value in (told if isinstance(told, dict) else {}).items():
        if differing := _differing(name, value, verdict.parameters.get(name)):
            raise VerificationError(
                f"The certificate's {differing} is not the one that its transcript tells."
            )
    if found.get("queries") != verdict.queries:
        raise VerificationError(
            f"The certificate says {verdict.queries} queries, but its transcript has"
            f" {found.get('queries')}."
        )
    return f"Recomputed from the transcript: statistic {verdict.statistic}, p {verdict.p_value}."


def _differing(name: str, told: object, stated: object) -> str | None:
    """The first name, dotted, under which two values differ; what one of them lacks is null."""
    if isinstance(told, dict) and isinstance(stated, dict):
        parts = (
            _differing(f"{name}.{part}", told.get(part), stated.get(part))
            for part in dict.fromkeys([*told, *stated])
        )
        return next(filter(None, parts), None)
    return None if told == stated else name


def _same(found: object, stated: float | None) -> bool:
    if stated is None or not isinstance(found, int | float):
        return found is None and stated is None
    return math.isclose(found, stated, rel_tol=_TOLERANCE)


# Imported where they are called: reading a certificate needs none of the statistics.
_Transcript = tuple[dict[str, Any], list["Exchange"]]


def _read_transcript(lines: bytes) -> _Transcript:
    from spellmark.evidence.transcript import read

    return _guarded(lambda: read(lines))


def _recompute(transcript: _Transcript) -> dict[str, Any]:
    from spellmark.evidence.recompute import recompute_read

    return _guarded(lambda: recompute_read(*transcript))


def _answer_digests(transcript: _Transcript) -> set[str]:
    from spellmark.evidence.transcript import answer_digests

    return _guarded(lambda: answer_digests(transcript[1]))


def _guarded(step: Callable[[], T]) -> T:
    try:
        return step()
    except SpellmarkError:
        raise
    except Exception as error:
        # The lines may be anybody's: whatever they bring down, the report must still be given.
        raise VerificationError("The transcript is not written as Spellmark writes it.") from error
