from dataclasses import replace

from spellmark.certificates.trust import LogKey
from spellmark.certificates.trusted_root import trusted_root
from tests.spellmark.certificates.certificate_samples import (
    LOG_KEYS,
    LOG_ML_DSA,
    ORIGIN,
    TRUST,
    YEAR_START,
)

ROTATING = replace(
    TRUST,
    log_keys=(*LOG_KEYS, LogKey(ORIGIN, LOG_ML_DSA.verifier, YEAR_START, None)),
)


def test_each_ed25519_key_of_a_log_stands_there_with_its_time():
    root = trusted_root(ROTATING, base_url="https://a.example/log")
    keys = [log["publicKey"] for log in root["tlogs"]]
    assert {key["keyDetails"] for key in keys} == {"PKIX_ED25519"}
    assert [key.get("validFor") for key in keys] == [
        {"start": "2026-01-01T00:00:00Z", "end": "2026-12-31T00:00:00Z"},
        {"start": "2026-12-31T00:00:00Z"},
        None,
    ]
