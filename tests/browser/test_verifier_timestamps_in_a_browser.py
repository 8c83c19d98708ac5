"""The single-page verifier takes an authority's word on the time as `spellmark verify` does."""

import random
from dataclasses import replace

import pytest

from spellmark.certificates import certificate, timestamps
from spellmark.certificates.trust import CertificateKey
from tests.browser.verifier_page import accepts, agree, changed, emptied, own_session, verifier
from tests.programs import need
from tests.spellmark.certificates.certificate_samples import (
    ALICE,
    REGISTRATION,
    TRUST,
    YEAR_START,
    bundle_of,
)
from tests.timestamp_authority import TimestampAuthority

__all__ = ["emptied", "own_session", "verifier"]

pytestmark = pytest.mark.browser

BUNDLE = bundle_of(REGISTRATION)
ENVELOPE = certificate.loads(BUNDLE.certificate)
ALTERED = 25


def trusting(*authorities, until=None):
    key = CertificateKey(ALICE.public_key(), YEAR_START, until)
    pems = tuple(one.pem for one in authorities)
    return replace(TRUST, certificate_keys=(key,), timestamp_authorities=pems)


def stamped(*responses, envelope=ENVELOPE) -> bytes:
    return replace(BUNDLE, certificate=certificate.dumps(envelope, responses)).dumps()


def test_a_timestamp_is_checked(verifier, tmp_path):
    need("openssl")
    bob = TimestampAuthority(tmp_path / "bob")
    charlie = TimestampAuthority(tmp_path / "charlie", "Charlie")
    response = bob.respond(timestamps.request(ENVELOPE.signature))
    other = bob.respond(timestamps.request(b"another signature"))

    def failing(*responses, trust) -> set[str]:
        return agree(verifier, tmp_path, stamped(*responses), trust=trust)

    assert failing(response, trust=TRUST) == set()
    assert failing(response, trust=trusting(bob)) == set()
    assert failing(response, response, trust=trusting(charlie, bob)) == set()
    assert failing(response, trust=trusting(charlie)) == {"timestamp"}
    assert failing(other, trust=trusting(bob)) == {"timestamp"}
    assert failing(response, other, trust=trusting(bob)) == {"timestamp"}
    ended = trusting(bob, until=REGISTRATION.registered_at)
    assert failing(response, trust=ended) == {"timestamp"}
    for place in random.Random(0).sample(range(len(response)), ALTERED):
        accepts(verifier, tmp_path, stamped(changed(response, place)), trusting(bob))
