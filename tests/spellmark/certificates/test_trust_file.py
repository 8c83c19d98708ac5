import json
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from spellmark.certificates import keys
from spellmark.certificates.errors import FormatError
from spellmark.certificates.notes import COSIGNATURE
from spellmark.certificates.timestamps import CLOCK_SKEW
from spellmark.certificates.trust import CertificateKey, LogKey, Trust
from spellmark.errors import SpellmarkError
from tests.spellmark.certificates.certificate_samples import (
    ALICE,
    CHARLIE,
    LOG,
    LOG_KEYS,
    LOG_ML_DSA,
    NEXT_LOG,
    ORIGIN,
    TRUST,
    WITNESS,
    YEAR_END,
    YEAR_START,
)

ROTATING = Trust(
    (*TRUST.certificate_keys, CertificateKey(CHARLIE.public_key(), YEAR_END, None)),
    LOG_KEYS,
)


def test_it_reads_back(tmp_path):
    ROTATING.save(tmp_path / "trust.json")
    assert Trust.load(tmp_path / "trust.json") == ROTATING


def test_it_looks_as_documented():
    key = {
        "keyid": keys.keyid(ALICE.public_key()),
        "publicKey": keys.public_pem(ALICE.public_key()),
        "validFrom": "2026-01-01T00:00:00Z",
        "validUntil": "2026-12-31T00:00:00Z",
    }
    log = {"origin": ORIGIN, "vkey": LOG.verifier.vkey}
    expected = {"format": "spellmark-trust/v1", "certificateKeys": [key], "logs": [log]}
    assert json.loads(TRUST.dumps()) == expected


def test_a_log_may_have_several_keys():
    assert ROTATING.logs() == {
        ORIGIN: [LOG.verifier, NEXT_LOG.verifier],
        "b.example": [WITNESS.verifier],
    }


def test_a_log_key_may_not_cover_what_was_stated_after_its_end():
    late = YEAR_END + CLOCK_SKEW
    both, others = [LOG.verifier, NEXT_LOG.verifier], {"b.example": [WITNESS.verifier]}
    # A checkpoint of the next key is over what was stated before it, too.
    assert ROTATING.logs(YEAR_START) == ROTATING.logs(late) == {ORIGIN: both, **others}
    later = late + timedelta(microseconds=1)
    assert ROTATING.logs(later) == {ORIGIN: [NEXT_LOG.verifier], **others}


def test_it_gives_the_time_of_a_log_key():
    old, new, other = json.loads(ROTATING.dumps())["logs"]
    assert (old["validFrom"], old["validUntil"]) == (
        "2026-01-01T00:00:00Z",
        "2026-12-31T00:00:00Z",
    )
    assert (new["validFrom"], new["validUntil"]) == ("2026-12-31T00:00:00Z", None)
    assert set(other) == {"origin", "vkey"}


def test_a_key_is_valid_from_its_first_to_its_last_moment():
    key = TRUST.certificate_keys[0]
    moment = timedelta(microseconds=1)
    assert key.is_valid_at(YEAR_START)
    assert key.is_valid_at(YEAR_END)
    assert not key.is_valid_at(YEAR_START - moment)
    assert not key.is_valid_at(YEAR_END + moment)
    assert replace(key, valid_until=None).is_valid_at(YEAR_END + moment)


P384 = keys.public_pem(ec.generate_private_key(ec.SECP384R1()).public_key())


@pytest.mark.parametrize(
    "change",
    [
        lambda v: v.update(format="spellmark-trust/v2"),
        lambda v: v.update(witnesses=[]),
        lambda v: v.pop("logs"),
        lambda v: v.update(certificateKeys={}),
        lambda v: v["certificateKeys"].append(v["certificateKeys"][0]),
        lambda v: v["logs"].append(v["logs"][0]),
        lambda v: v["certificateKeys"][0].update(keyid="00" * 32),
        lambda v: v["certificateKeys"][0].update(publicKey="no key"),
        lambda v: v["certificateKeys"][0].update(publicKey=P384),
        lambda v: v["certificateKeys"][0].update(publicKey=keys.public_pem(CHARLIE.public_key())),
        lambda v: v["certificateKeys"][0].update(validFrom=None),
        lambda v: v["certificateKeys"][0].update(validUntil="never"),
        lambda v: v["certificateKeys"][0].pop("validUntil"),
        lambda v: v["certificateKeys"][0].update(more=1),
        lambda v: v["logs"][0].update(vkey="x"),
        lambda v: v["logs"][0].update(origin=""),
        lambda v: v["logs"][0].update(more=1),
        lambda v: v["logs"][0].update(validFrom="2026-01-01T00:00:00Z"),
        lambda v: v["logs"][0].update(validUntil="never"),
    ],
)
def test_it_refuses_malformed_trust_files(change):
    value = json.loads(TRUST.dumps())
    change(value)
    with pytest.raises(SpellmarkError):
        Trust.loads(json.dumps(value).encode())


def test_it_refuses_duplicate_json_keys():
    data = TRUST.dumps().replace(b'"logs"', b'"logs": [], "logs"')
    with pytest.raises(FormatError, match="twice"):
        Trust.loads(data)


def test_it_refuses_to_write_a_key_twice():
    with pytest.raises(FormatError, match="twice"):
        Trust(TRUST.certificate_keys * 2, TRUST.log_keys).dumps()


def test_it_says_that_a_file_is_missing(tmp_path):
    with pytest.raises(FormatError, match="cannot be read"):
        Trust.load(tmp_path / "none.json")


def test_a_witness_alone_cannot_speak_for_a_log():
    cosigner = replace(WITNESS, kind=COSIGNATURE)
    value = json.loads(TRUST.dumps())
    value["logs"].append({"origin": ORIGIN, "vkey": cosigner.verifier.vkey})
    with pytest.raises(FormatError, match="a witness's"):
        Trust.loads(json.dumps(value).encode())


def test_a_log_may_have_an_ml_dsa_key(tmp_path):
    both = replace(TRUST, log_keys=(*TRUST.log_keys, LogKey(ORIGIN, LOG_ML_DSA.verifier)))
    assert Trust.loads(both.dumps()) == both
