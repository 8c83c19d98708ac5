"""A certificate as a simple verification result (in-toto predicate svr v0.2), for policy engines.

Such a result lists passing properties only: whoever finds a property missing must take it for not
shown. It is derived from the certificate, which stays what counts: limits, p-value and suspect
stand there alone.
"""

from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from spellmark.certificates import certificate, dsse
from spellmark.certificates.encoding import to_json, to_time
from spellmark.certificates.errors import FormatError
from spellmark.certificates.statements import (
    PAYLOAD_TYPE,
    STATEMENT_TYPE,
    Registration,
    Statement,
    Verdict,
)

SVR_TYPE = "https://in-toto.io/attestation/svr/v0.2"

REGISTERED = "SPELLMARK_REGISTERED"
COMMITTED = "SPELLMARK_COMMITTED"
RUN_LOGGED = "SPELLMARK_RUN_LOGGED"
VERIFIED_MATCH = "SPELLMARK_VERIFIED_MATCH"


def properties(statement: Statement) -> list[str]:
    """What a statement shows, of the four words above; none for what is no result."""
    if isinstance(statement, Registration):
        return [REGISTERED, COMMITTED] if statement.commitment else [REGISTERED]
    if isinstance(statement, Verdict):
        is_match = (statement.evidence_class, statement.verdict) == ("verified", "match")
        return [RUN_LOGGED, VERIFIED_MATCH] if is_match else [RUN_LOGGED]
    return []


def payload(statement: Statement, *, digest: str, verifier: str, made_at: datetime) -> bytes:
    """The result's in-toto Statement. `digest` names the certificate, `verifier` is a URI.

    Raises FormatError for a statement that is no result.
    """
    found = properties(statement)
    if not isinstance(statement, Registration | Verdict):
        raise FormatError("Only registrations and verdicts have a simple verification result.")
    subject = [{"name": "model", "digest": {"sha256": statement.model_digest}}]
    if isinstance(statement, Verdict):
        subject.append({"name": "transcript", "digest": {"sha256": statement.transcript_digest}})
    return to_json(
        {
            "_type": STATEMENT_TYPE,
            "subject": subject,
            "predicateType": SVR_TYPE,
            "predicate": {
                "verifier": {"id": verifier},
                "timeCreated": to_time(made_at),
                "policies": [{"name": "certificate", "digest": {"sha256": digest}}],
                "properties": found,
            },
        }
    )


def issue(payload: bytes, key: EllipticCurvePrivateKey) -> bytes:
    """The signed result, a Sigstore bundle v0.3."""
    return certificate.dumps(dsse.sign(PAYLOAD_TYPE, payload, key))
