import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from spellmark.certificates import certificate, timestamps
from spellmark.certificates.errors import FormatError, VerificationError
from spellmark.certificates.trust import CertificateKey, Trust
from spellmark.certificates.verify import verify_files
from tests.programs import need
from tests.spellmark.certificates.certificate_samples import (
    ALICE,
    REGISTRATION,
    TRUST,
    YEAR_START,
    bundle_of,
)
from tests.timestamp_authority import TimestampAuthority

BUNDLE = bundle_of(REGISTRATION)
ENVELOPE = certificate.loads(BUNDLE.certificate)


@pytest.fixture(scope="module")
def bob(tmp_path_factory) -> TimestampAuthority:
    need("openssl")
    return TimestampAuthority(tmp_path_factory.mktemp("tsa") / "bob")


@pytest.fixture(scope="module")
def stamped(bob) -> bytes:
    return bob.respond(timestamps.request(ENVELOPE.signature))


def trusting(*authorities: TimestampAuthority, until=None) -> Trust:
    key = CertificateKey(ALICE.public_key(), YEAR_START, until)
    pems = tuple(one.pem for one in authorities)
    return replace(TRUST, certificate_keys=(key,), timestamp_authorities=pems)


def check_of(trust: Trust, *responses: bytes, envelope=ENVELOPE):
    bundle = replace(BUNDLE, certificate=certificate.dumps(envelope, responses))
    report = verify_files(bundle, trust)
    check = next(check for check in report.checks if check.name == "timestamp")
    assert report.passed == (check.passed is not False)
    return check


def test_openssl_and_we_agree_on_a_timestamp(bob, stamped):
    assert bob.accepts(ENVELOPE.signature, stamped)
    assert not bob.accepts(ENVELOPE.signature + b"x", stamped)
    authority = [timestamps.load_authority(bob.pem)]
    moment = timestamps.verify(stamped, ENVELOPE.signature, authority)
    assert abs(datetime.now(UTC) - moment) < timedelta(minutes=5)
    with pytest.raises(VerificationError, match="belongs to another certificate"):
        timestamps.verify(stamped, ENVELOPE.signature + b"x", authority)


def test_a_certificate_with_a_timestamp_is_accepted(bob, stamped):
    check = check_of(trusting(bob), stamped)
    assert check.passed
    assert "saw the signature at 20" in check.detail
    assert check_of(trusting(bob), stamped, stamped).passed


def test_without_a_trusted_authority_nothing_is_said_of_it(stamped):
    assert check_of(trusting(), stamped).passed is None
    assert check_of(trusting()).passed is None


def test_another_authority_and_altered_bytes_are_refused(bob, stamped, tmp_path):
    charlie = TimestampAuthority(tmp_path / "charlie", "Charlie")
    assert check_of(trusting(charlie), stamped).passed is False
    assert check_of(trusting(charlie, bob), stamped).passed
    for place in range(40, len(stamped), 97):
        altered = bytearray(stamped)
        altered[place] ^= 1
        try:
            timestamps.verify(
                bytes(altered), ENVELOPE.signature, [timestamps.load_authority(bob.pem)]
            )
        except (FormatError, VerificationError):
            continue
        # Outside of what is signed, such as a certificate that nobody needs: the time stays.
        assert timestamps.decode(bytes(altered)) == timestamps.decode(stamped)


def test_a_key_that_was_over_when_the_authority_saw_the_signature_is_refused(bob, stamped):
    over = trusting(bob, until=datetime(2026, 3, 1, tzinfo=UTC))
    # The certificate says February 2026, within the key's time; the authority knows better.
    check = check_of(over, stamped)
    assert check.passed is False
    assert "when its key was not valid" in check.detail


def test_a_timestamp_outlives_its_authority_s_certificate(tmp_path):
    need("openssl")
    dora = TimestampAuthority(tmp_path / "dora", "Dora")
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=3)
    dora.certify(until)
    early = dora.respond(timestamps.request(ENVELOPE.signature))
    time.sleep((until - datetime.now(UTC)).total_seconds() + 1.1)
    late = dora.respond(timestamps.request(ENVELOPE.signature))
    assert not dora.accepts(ENVELOPE.signature, early)  # it goes by the time of today
    assert timestamps.decode(early) <= until < timestamps.decode(late)
    assert check_of(trusting(dora), early).passed
    assert not check_of(trusting(dora), late).passed


def test_a_certificate_that_says_it_was_made_later_is_refused(bob):
    later = replace(REGISTRATION, registered_at=datetime(2099, 1, 1, tzinfo=UTC))
    bundle = bundle_of(later)
    envelope = certificate.loads(bundle.certificate)
    response = bob.respond(timestamps.request(envelope.signature))
    file = certificate.dumps(envelope, [response])
    report = verify_files(replace(bundle, certificate=file), trusting(bob))
    failed = {check.name: check.detail for check in report.checks if check.passed is False}
    assert set(failed) == {"timestamp"}
    assert "but its signature was stamped before" in failed["timestamp"]


def test_what_is_no_timestamp_is_refused(bob):
    assert "not an RFC 3161 response" in check_of(trusting(bob), b"hello").detail
    with pytest.raises(FormatError, match="PEM form"):
        timestamps.load_authority("hello")


def test_the_trust_file_carries_the_authorities(bob):
    trust = trusting(bob)
    assert Trust.loads(trust.dumps()) == trust
    assert b"timestampAuthorities" not in TRUST.dumps()
    with pytest.raises(FormatError, match="PEM form"):
        Trust.loads(replace(trust, timestamp_authorities=("hello",)).dumps())


@pytest.mark.parametrize("count", [0, certificate.MAX_TIMESTAMPS + 1])
def test_a_list_of_none_or_too_many_timestamps_is_refused(count):
    value = certificate.to_value(ENVELOPE)
    signed = [{"signedTimestamp": "AAAA"}] * count
    value["verificationMaterial"]["timestampVerificationData"] = {"rfc3161Timestamps": signed}
    with pytest.raises(FormatError, match="from 1 to"):
        certificate.from_value(value)
