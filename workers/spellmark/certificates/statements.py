"""What a certificate says: in-toto Statements v1 with one of our predicates.

A *registration* says that an organisation had registered this version of a model by this time; a
*verdict* what a verification run found out about a suspect; a *revocation* that an earlier
certificate is not to be relied on; a *succession* that a new key signs certificates from now on.
Subjects are matched by digest alone, so a suspect is never a subject: it stands in the predicate.
Readers ignore fields they do not know. `docs/schemas` describes each predicate as JSON Schema.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from spellmark.certificates import keys
from spellmark.certificates.encoding import from_json, to_json, to_time
from spellmark.certificates.errors import FormatError
from spellmark.certificates.fields import Fields
from spellmark.evidence.verdicts import EVIDENCE_CLASSES, MATCH, VERDICTS, VERIFIED

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
REGISTRATION_TYPE = "https://spellmark.dev/registration/v1"
VERDICT_TYPE = "https://spellmark.dev/verdict/v1"
REVOCATION_TYPE = "https://spellmark.dev/revocation/v1"
SUCCESSION_TYPE = "https://spellmark.dev/succession/v1"


@dataclass(frozen=True)
class Registration:
    """A version of a model, registered by an organisation.

    `model_digest` is the version's OMS root digest (SHA-256, hex). `commitment` (hex), `binding`
    (hex) and `scheme` are those of its protection, or None for a version registered without one.
    """

    model_digest: str
    model_name: str
    version: int
    organisation: str
    commitment: str | None
    binding: str | None
    scheme: str | None
    parameters: Mapping[str, Any]
    registered_at: datetime

    @property
    def stated_at(self) -> datetime:
        return self.registered_at

    def dumps(self) -> bytes:
        """The statement's bytes. Raises FormatError for values that `parse` would refuse."""
        predicate = {
            "modelName": self.model_name,
            "version": self.version,
            "organisation": self.organisation,
            "commitment": self.commitment,
            "binding": self.binding,
            "scheme": self.scheme,
            "parameters": dict(self.parameters),
            "registeredAt": to_time(self.registered_at),
        }
        return _dumps(REGISTRATION_TYPE, {"model": self.model_digest}, predicate)


@dataclass(frozen=True)
class Verdict:
    """What one method found out about one suspect.

    `model_digest` is the OMS root digest of the owner's version, `transcript_digest` the SHA-256 of
    the evidence transcript (both hex). `suspect` has a `kind` and a `url` or, for a file, its
    `sha256`. `smallest_p` is the smallest p-value that the run could have given. The registration
    that the claim rests on is named by its index in the log, by the digest in its log entry, or by
    both.
    """

    model_digest: str
    transcript_digest: str
    suspect: Mapping[str, Any]
    method: str
    scheme: str
    parameters: Mapping[str, Any]
    evidence_class: str
    statistic: float | None
    p_value: float | None
    alpha: float
    smallest_p: float | None
    decoys: int
    probes: int
    queries: int
    access_level: str
    verdict: str
    reason: str
    registration_index: int | None
    registration_digest: str | None
    started_at: datetime
    finished_at: datetime
    limits: tuple[str, ...]

    @property
    def stated_at(self) -> datetime:
        return self.finished_at

    def dumps(self) -> bytes:
        """The statement's bytes. Raises FormatError for values that `parse` would refuse."""
        predicate = {
            "suspect": dict(self.suspect),
            "method": self.method,
            "scheme": self.scheme,
            "parameters": dict(self.parameters),
            "evidenceClass": self.evidence_class,
            "statistic": self.statistic,
            "pValue": self.p_value,
            "alpha": self.alpha,
            "smallestP": self.smallest_p,
            "decoys": self.decoys,
            "probes": self.probes,
            "queries": self.queries,
            "accessLevel": self.access_level,
            "verdict": self.verdict,
            "reason": self.reason,
            "registration": {
                "logIndex": self.registration_index,
                "sha256": self.registration_digest,
            },
            "startedAt": to_time(self.started_at),
            "finishedAt": to_time(self.finished_at),
            "limits": list(self.limits),
        }
        subjects = {"model": self.model_digest, "transcript": self.transcript_digest}
        return _dumps(VERDICT_TYPE, subjects, predicate)


@dataclass(frozen=True)
class Revocation:
    """That a certificate is not to be relied on any more.

    `certificate_digest` names it as its log entry does; `replaced_by` likewise its successor, for a
    certificate that is superseded rather than withdrawn.
    """

    certificate_digest: str
    reason: str
    replaced_by: str | None
    revoked_at: datetime

    @property
    def stated_at(self) -> datetime:
        return self.revoked_at

    def dumps(self) -> bytes:
        """The statement's bytes. Raises FormatError for values that `parse` would refuse."""
        predicate = {
            "reason": self.reason,
            "replacedBy": self.replaced_by,
            "revokedAt": to_time(self.revoked_at),
        }
        return _dumps(REVOCATION_TYPE, {"certificate": self.certificate_digest}, predicate)


@dataclass(frozen=True)
class Succession:
    """That the key `public_key` (PEM) signs certificates from `valid_from` on; its predecessor
    signs this while it is valid."""

    keyid: str
    public_key: str
    valid_from: datetime

    @property
    def stated_at(self) -> datetime:
        return self.valid_from

    def dumps(self) -> bytes:
        """The statement's bytes. Raises FormatError for values that `parse` would refuse."""
        predicate = {"publicKey": self.public_key, "validFrom": to_time(self.valid_from)}
        return _dumps(SUCCESSION_TYPE, {"key": self.keyid}, predicate)


Statement = Registration | Verdict | Revocation | Succession


def parse(payload: bytes) -> Statement:
    """Read a statement of ours. Raises FormatError."""
    fields = Fields(from_json(payload, "The statement"), "The statement")
    if fields.text("_type") != STATEMENT_TYPE:
        raise fields.wrong("_type", STATEMENT_TYPE)
    kind = fields.choice("predicateType", list(_PARSERS))
    predicate = Fields(fields.object("predicate"), "The statement's predicate")
    names, parse_predicate = _PARSERS[kind]
    return parse_predicate(_subjects(fields, names), predicate)


def kind_of(statement: Statement) -> str:
    """The statement's kind in one word."""
    return type(statement).__name__.lower()


def subjects_of(payload: bytes) -> dict[str, str]:
    """The digests (SHA-256, hex) that a statement of ours is about, by name. Raises FormatError."""
    statement = parse(payload)
    if isinstance(statement, Registration):
        return {"model": statement.model_digest}
    if isinstance(statement, Verdict):
        return {"model": statement.model_digest, "transcript": statement.transcript_digest}
    if isinstance(statement, Revocation):
        return {"certificate": statement.certificate_digest}
    return {"key": statement.keyid}


def _parse_registration(subjects: dict[str, str], fields: Fields) -> Registration:
    return Registration(
        model_digest=subjects["model"],
        model_name=fields.text("modelName"),
        version=fields.count("version"),
        organisation=fields.text("organisation"),
        commitment=fields.or_none(fields.sha256, "commitment"),
        binding=fields.or_none(fields.hex, "binding"),
        scheme=fields.or_none(fields.text, "scheme"),
        parameters=fields.object("parameters"),
        registered_at=fields.time("registeredAt"),
    )


def _parse_verdict(subjects: dict[str, str], fields: Fields) -> Verdict:
    suspect = Fields(fields.object("suspect"), "The verdict's suspect")
    suspect.text("kind")
    if suspect.or_none(suspect.text, "url") is None:
        suspect.sha256("sha256")
    registration = Fields(fields.object("registration"), "The verdict's registration")
    verdict = Verdict(
        model_digest=subjects["model"],
        transcript_digest=subjects["transcript"],
        suspect=suspect.values,
        method=fields.text("method"),
        scheme=fields.text("scheme"),
        parameters=fields.object("parameters"),
        evidence_class=fields.choice("evidenceClass", EVIDENCE_CLASSES),
        statistic=fields.or_none(fields.number, "statistic"),
        p_value=fields.or_none(fields.probability, "pValue"),
        alpha=fields.probability("alpha"),
        smallest_p=fields.or_none(fields.probability, "smallestP"),
        decoys=fields.count("decoys"),
        probes=fields.count("probes"),
        queries=fields.count("queries"),
        access_level=fields.text("accessLevel"),
        verdict=fields.choice("verdict", VERDICTS),
        reason=fields.text("reason"),
        registration_index=registration.or_none(registration.count, "logIndex"),
        registration_digest=registration.or_none(registration.sha256, "sha256"),
        started_at=fields.time("startedAt"),
        finished_at=fields.time("finishedAt"),
        limits=fields.texts("limits"),
    )
    _refuse_contradictions(verdict)
    return verdict


def _parse_revocation(subjects: dict[str, str], fields: Fields) -> Revocation:
    revocation = Revocation(
        certificate_digest=subjects["certificate"],
        reason=fields.text("reason"),
        replaced_by=fields.or_none(fields.sha256, "replacedBy"),
        revoked_at=fields.time("revokedAt"),
    )
    if revocation.replaced_by == revocation.certificate_digest:
        raise FormatError("The revocation replaces a certificate by itself.")
    return revocation


def _parse_succession(subjects: dict[str, str], fields: Fields) -> Succession:
    succession = Succession(
        keyid=subjects["key"],
        public_key=fields.text("publicKey"),
        valid_from=fields.time("validFrom"),
    )
    try:
        keyid = keys.keyid(keys.load_public_p256(succession.public_key))
    except keys.SigningKeyError:
        raise fields.wrong("publicKey", "a P-256 key in PEM form") from None
    if keyid != succession.keyid:
        raise FormatError("The succession names another key than the one it holds.")
    return succession


_PARSERS: dict[str, tuple[list[str], Callable[[dict[str, str], Fields], Statement]]] = {
    REGISTRATION_TYPE: (["model"], _parse_registration),
    VERDICT_TYPE: (["model", "transcript"], _parse_verdict),
    REVOCATION_TYPE: (["certificate"], _parse_revocation),
    SUCCESSION_TYPE: (["key"], _parse_succession),
}


def _refuse_contradictions(verdict: Verdict) -> None:
    """No certificate may say what its own numbers deny, whoever signed it."""
    p, smallest = verdict.p_value, verdict.smallest_p
    if verdict.finished_at < verdict.started_at:
        raise FormatError("The verdict's run finished before it started.")
    if verdict.registration_index is None and verdict.registration_digest is None:
        raise FormatError("The verdict does not say which registration it rests on.")
    if p is not None and smallest is not None and p < smallest:
        raise FormatError("The verdict's p-value is below the smallest that its run could give.")
    if verdict.evidence_class == VERIFIED and verdict.verdict == MATCH:
        if p is None or verdict.statistic is None:
            raise FormatError("The verdict is a verified match without a statistic or p-value.")
        if p > verdict.alpha:
            raise FormatError("The verdict is a verified match, but its p-value is above alpha.")


def _subjects(fields: Fields, names: list[str]) -> dict[str, str]:
    """The digests of exactly these subjects, by name."""
    digests: dict[str, str] = {}
    for value in fields.array("subject"):
        subject = Fields(value, "A subject of the statement")
        name = subject.text("name")
        digest = Fields(subject.object("digest"), "The digest of a subject").sha256("sha256")
        if name in digests:
            raise FormatError("The statement names a subject twice.")
        digests[name] = digest
    if set(digests) != set(names):
        raise FormatError("The statement's subjects are not " + " and ".join(names) + ".")
    return digests


def _dumps(kind: str, subjects: dict[str, str], predicate: dict[str, Any]) -> bytes:
    payload = to_json(
        {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": n, "digest": {"sha256": d}} for n, d in subjects.items()],
            "predicateType": kind,
            "predicate": predicate,
        }
    )
    # Nothing is signed that a verifier would refuse afterwards.
    parse(payload)
    return payload
