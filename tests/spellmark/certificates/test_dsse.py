import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from spellmark.certificates import dsse, keys
from spellmark.certificates.dsse import Envelope
from spellmark.certificates.errors import FormatError, VerificationError
from tests.spellmark.certificates.certificate_samples import ALICE, CHARLIE

TRUSTED = {keys.keyid(ALICE.public_key()): ALICE.public_key()}
ENVELOPE = dsse.sign("text/x-test", b"hello", ALICE)


def test_it_encodes_as_the_specification_does():
    encoded = dsse.pae("http://example.com/HelloWorld", b"hello world")
    assert encoded == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    assert dsse.pae("ä", b"") == b"DSSEv1 2 \xc3\xa4 0 "


def test_it_verifies_the_example_of_the_specification():
    key = ec.EllipticCurvePublicNumbers(
        46950820868899156662930047687818585632848591499744589407958293238635476079160,
        5640078356564379163099075877009565129882514886557779369047442380624545832820,
        ec.SECP256R1(),
    ).public_key()
    raw = base64.b64decode(
        "A3JqsQGtVsJ2O2xqrI5IcnXip5GToJ3F+FnZ+O88SjtR6rDAajabZKciJTfUiHqJPcIAriEGAHTVeCUjW2JIZA=="
    )
    # The example joins r and s; certificates carry DER, which openssl reads.
    signature = encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))
    envelope = Envelope("http://example.com/HelloWorld", b"hello world", "k", signature)
    assert dsse.verify(envelope, {"k": key}) == b"hello world"


def test_it_returns_the_bytes_it_verified():
    assert dsse.verify(ENVELOPE, TRUSTED) == b"hello"
    assert dsse.verify(Envelope.from_json(ENVELOPE.to_json()), TRUSTED) == b"hello"


def test_the_key_id_is_always_set():
    assert ENVELOPE.keyid == keys.keyid(ALICE.public_key())
    assert ENVELOPE.to_json()["signatures"][0]["keyid"] == ENVELOPE.keyid


def test_it_refuses_a_key_that_is_not_trusted():
    with pytest.raises(VerificationError, match="not signed by a trusted key"):
        dsse.verify(dsse.sign("text/x-test", b"hello", CHARLIE), TRUSTED)


def test_it_refuses_a_stranger_who_borrows_a_trusted_key_id():
    forged = dsse.sign("text/x-test", b"hello", CHARLIE)
    borrowed = Envelope(forged.payload_type, forged.payload, ENVELOPE.keyid, forged.signature)
    with pytest.raises(VerificationError, match="altered after signing"):
        dsse.verify(borrowed, TRUSTED)


@pytest.mark.parametrize(
    "altered",
    [
        Envelope("text/x-test", b"hullo", ENVELOPE.keyid, ENVELOPE.signature),
        Envelope("text/y-test", b"hello", ENVELOPE.keyid, ENVELOPE.signature),
        Envelope("text/x-test", b"hello", ENVELOPE.keyid, ENVELOPE.signature[:-1]),
        Envelope("text/x-test", b"hello", ENVELOPE.keyid, ENVELOPE.signature + b"\0"),
        Envelope("text/x-test", b"hello", ENVELOPE.keyid, b"no DER"),
        # The same bytes in all, but divided elsewhere between type and payload.
        Envelope("text/x-test 5 hello", b"", ENVELOPE.keyid, ENVELOPE.signature),
    ],
)
def test_it_refuses_altered_envelopes(altered):
    with pytest.raises(VerificationError, match="altered after signing"):
        dsse.verify(altered, TRUSTED)


@pytest.mark.parametrize(
    "change",
    [
        {"signatures": []},
        {"signatures": ENVELOPE.to_json()["signatures"] * 2},
        {"signatures": [{"sig": "AAAA"}]},
        {"signatures": [{"keyid": "", "sig": "AAAA"}]},
        {"signatures": [{"keyid": "k", "sig": "AAAA", "cert": "x"}]},
        {"signatures": {}},
        {"payload": "aGVsbG8"},
        {"payload": "aGVsbG9="},
        {"payload": "aGVs bG8="},
        {"payload": 1},
        {"payloadType": None},
        {"more": 1},
    ],
)
def test_it_refuses_malformed_envelopes(change):
    with pytest.raises(FormatError):
        Envelope.from_json(ENVELOPE.to_json() | change)
