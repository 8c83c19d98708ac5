import base64
from dataclasses import replace
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from spellmark.certificates.trust import LogKey
from spellmark.certificates.trusted_root import trusted_root
from tests.spellmark.certificates.certificate_samples import (
    CHARLIE,
    LOG_KEYS,
    LOG_ML_DSA,
    ORIGIN,
    TRUST,
    YEAR_END,
    YEAR_START,
)

ROTATING = replace(
    TRUST,
    log_keys=(*LOG_KEYS, LogKey(ORIGIN, LOG_ML_DSA.verifier, YEAR_START, None)),
)


def test_each_ed25519_key_of_a_log_stands_there_with_its_time():
    root = trusted_root(ROTATING)
    keys = [log["publicKey"] for log in root["tlogs"]]
    assert {key["keyDetails"] for key in keys} == {"PKIX_ED25519"}
    assert [key.get("validFor") for key in keys] == [
        {"start": "2026-01-01T00:00:00Z", "end": "2026-12-31T00:00:00Z"},
        {"start": "2026-12-31T00:00:00Z"},
        None,
    ]
    assert [log["baseUrl"] for log in root["tlogs"]] == [ORIGIN, ORIGIN, "b.example"]
    assert [base64.b64decode(log["logId"]["keyId"]) for log in root["tlogs"]] == [
        key.verifier.key_id for key in LOG_KEYS
    ]


def test_a_timestamp_authority_is_valid_while_all_of_its_chain_is():
    own = _authority_certificate("tsa", YEAR_START, YEAR_END)
    late = _authority_certificate("root", YEAR_START + timedelta(days=9), YEAR_END)
    early = _authority_certificate("between", YEAR_START, YEAR_END - timedelta(days=9))
    pem = "".join(one.public_bytes(Encoding.PEM).decode() for one in (own, early, late))
    root = trusted_root(replace(TRUST, timestamp_authorities=(pem,)))
    assert root["timestampAuthorities"][0]["validFor"] == {
        "start": "2026-01-10T00:00:00Z",
        "end": "2026-12-22T00:00:00Z",
    }


def _authority_certificate(name: str, start: datetime, end: datetime) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder().issuer_name(subject).subject_name(subject)
    builder = builder.public_key(CHARLIE.public_key()).serial_number(1)
    builder = builder.not_valid_before(start).not_valid_after(end)
    return builder.sign(CHARLIE, SHA256())
