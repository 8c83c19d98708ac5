import base64
import hashlib
import json

import pytest

from spellmark.certificates import certificate, dsse, entries, keys, statements
from spellmark.certificates.encoding import to_json
from spellmark.certificates.errors import FormatError
from tests.spellmark.certificates.certificate_samples import ALICE, REGISTRATION, VERDICT

CERTIFICATE = certificate.issue(VERDICT, ALICE)
KEYID = keys.keyid(ALICE.public_key())


def test_it_is_a_sigstore_bundle_with_a_key_hint():
    value = json.loads(CERTIFICATE)
    assert value["mediaType"] == "application/vnd.dev.sigstore.bundle.v0.3+json"
    assert value["verificationMaterial"] == {"publicKey": {"hint": KEYID}}
    envelope = value["dsseEnvelope"]
    assert envelope["payloadType"] == "application/vnd.in-toto+json"
    assert base64.b64decode(envelope["payload"]) == VERDICT.dumps()
    assert [signature["keyid"] for signature in envelope["signatures"]] == [KEYID]


@pytest.mark.parametrize("statement", [REGISTRATION, VERDICT])
def test_what_was_issued_can_be_verified_and_read(statement):
    envelope = certificate.loads(certificate.issue(statement, ALICE))
    payload = dsse.verify(envelope, {KEYID: ALICE.public_key()})
    assert statements.parse(payload) == statement


def test_its_log_entry_follows_from_what_was_signed():
    envelope = certificate.loads(CERTIFICATE)
    signed = b"DSSEv1 28 application/vnd.in-toto+json %d %b" % (
        len(VERDICT.dumps()),
        VERDICT.dumps(),
    )
    digest = hashlib.sha256(signed).hexdigest()
    assert entries.certificate_digest(envelope) == digest
    entry = f'{{"kind":"certificate/v1","sha256":"{digest}"}}'
    assert entries.certificate_entry(envelope) == entry.encode()


def test_signing_again_gives_the_same_log_entry():
    again = certificate.issue(VERDICT, ALICE)
    assert again != CERTIFICATE
    assert entries.certificate_entry(certificate.loads(again)) == entries.certificate_entry(
        certificate.loads(CERTIFICATE)
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda v: v.update(mediaType="application/vnd.dev.sigstore.bundle+json;version=0.2"),
        lambda v: v.update(more=1),
        lambda v: v.pop("dsseEnvelope"),
        lambda v: v.pop("verificationMaterial"),
        lambda v: v["verificationMaterial"].update(certificate={}),
        lambda v: v["verificationMaterial"].update(publicKey={"hint": "00" * 32}),
        lambda v: v["verificationMaterial"].update(publicKey={}),
        lambda v: v["dsseEnvelope"].update(payloadType="text/plain"),
        lambda v: v["dsseEnvelope"].update(signatures=[]),
    ],
)
def test_it_refuses_malformed_certificates(change):
    value = json.loads(CERTIFICATE)
    change(value)
    with pytest.raises(FormatError):
        certificate.loads(to_json(value))


def test_it_refuses_another_layout_of_the_same_certificate():
    with pytest.raises(FormatError, match="altered or laid out anew"):
        certificate.loads(json.dumps(json.loads(CERTIFICATE), indent=1).encode())
    with pytest.raises(FormatError, match="altered or laid out anew"):
        certificate.loads(CERTIFICATE + b"\n")
