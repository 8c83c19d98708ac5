"""What Sigstore's own verifier and in-toto's own parser say of our certificates."""

import base64
import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from google.protobuf import json_format
from in_toto_attestation.v1.statement import Statement as InTotoStatement
from in_toto_attestation.v1.statement_pb2 import Statement as StatementMessage

from spellmark.certificates import certificate, entries, keys, svr, timestamps
from spellmark.certificates.trusted_root import trusted_root
from tests.programs import need
from tests.spellmark.certificates.certificate_samples import (
    ALICE,
    CHARLIE,
    REGISTRATION,
    TRUST,
    VERDICT,
)
from tests.spellmark.certificates.test_revocations import REVOCATION
from tests.spellmark.certificates.test_trusted_root import ROTATING
from tests.timestamp_authority import TimestampAuthority

pytestmark = pytest.mark.peer

FOLDER = Path(__file__).parent / "npm"

KEYID = keys.keyid(ALICE.public_key())
STATEMENTS = (REGISTRATION, VERDICT, REVOCATION)
CERTIFICATES = [certificate.issue(statement, ALICE) for statement in STATEMENTS]
RESULTS = [
    svr.issue(
        svr.payload(one, digest="ab" * 32, verifier="https://a", made_at=one.stated_at), ALICE
    )
    for one in (REGISTRATION, VERDICT)
]


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> TimestampAuthority:
    need("openssl")
    return TimestampAuthority(tmp_path_factory.mktemp("tsa") / "bob")


@pytest.fixture(scope="module", autouse=True)
def installed() -> None:
    need("node")
    if not (FOLDER / "node_modules").is_dir():
        told = "not installed here: run `npm ci` in tests/peers/npm"
        if os.environ.get("CI") == "true":
            pytest.fail(told)
        pytest.skip(told)


def sigstore(folder: Path, bundle: bytes, authority=None, *, threshold=0, key=ALICE) -> str:
    pems = (authority.pem,) if authority else ()
    root = trusted_root(replace(TRUST, timestamp_authorities=pems), base_url="https://a.example")
    (folder / "bundle.json").write_bytes(bundle)
    (folder / "key.pem").write_text(keys.public_pem(key.public_key()))
    (folder / "trusted_root.json").write_text(json.dumps(root))
    files = [str(folder / name) for name in ("bundle.json", "key.pem")]
    done = subprocess.run(
        ["node", "verify.js", *files, KEYID, str(folder / "trusted_root.json"), str(threshold)],
        cwd=FOLDER,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def altered(bundle: bytes) -> bytes:
    value = json.loads(bundle)
    payload = base64.b64decode(value["dsseEnvelope"]["payload"]).replace(b"sha256", b"sha265")
    value["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()
    return json.dumps(value).encode()


@pytest.mark.parametrize("data", [*CERTIFICATES, *RESULTS])
def test_sigstore_accepts_a_certificate_and_refuses_an_altered_one(tmp_path, data):
    assert sigstore(tmp_path, data) == "accepted"
    assert sigstore(tmp_path, altered(data)) == "SIGNATURE_ERROR"
    assert sigstore(tmp_path, data, key=CHARLIE) == "SIGNATURE_ERROR"


def test_sigstore_asks_for_the_timestamp_and_checks_it(tmp_path, authority):
    plain = CERTIFICATES[0]
    envelope = certificate.loads(plain)
    stamp = authority.respond(timestamps.request(envelope.signature))
    stamped = certificate.dumps(envelope, [stamp])
    assert sigstore(tmp_path, stamped, authority, threshold=1) == "accepted"
    assert sigstore(tmp_path, plain, authority, threshold=1) == "TIMESTAMP_ERROR"
    other = certificate.loads(CERTIFICATES[1])
    moved = certificate.dumps(other, [stamp])
    assert sigstore(tmp_path, moved, authority, threshold=1) == "TIMESTAMP_ERROR"


def test_sigstore_reads_the_time_of_each_log_key(tmp_path):
    """It has a place for every field that we write, and takes a missing end for none."""
    written = trusted_root(ROTATING, base_url="https://a.example/log")
    (tmp_path / "trusted_root.json").write_text(json.dumps(written))
    done = subprocess.run(
        ["node", "trusted_root.js", str(tmp_path / "trusted_root.json")],
        cwd=FOLDER,
        capture_output=True,
        text=True,
        check=True,
    )
    read = json.loads(done.stdout.replace(".000Z", "Z"))
    assert read["root"]["tlogs"] == written["tlogs"]
    begin, end = "1970-01-01T00:00:00Z", "+275760-09-13T00:00:00Z"
    assert read["times"] == [
        {"start": "2026-01-01T00:00:00Z", "end": "2026-12-31T00:00:00Z"},
        {"start": "2026-12-31T00:00:00Z", "end": end},
        {"start": begin, "end": end},
    ]


@pytest.mark.parametrize("data", [*CERTIFICATES, *RESULTS])
def test_in_toto_reads_the_statement(data):
    payload = certificate.loads(data).payload
    message = json_format.Parse(payload, StatementMessage())
    InTotoStatement.copy_from_pb(message).validate()
    assert json_format.MessageToDict(message) == json.loads(payload)
    broken = json.loads(payload) | {"subject": []}
    with pytest.raises(ValueError, match="subject"):
        InTotoStatement.copy_from_pb(json_format.ParseDict(broken, StatementMessage())).validate()


def test_the_log_entry_is_not_moved_by_a_timestamp(authority):
    envelope = certificate.loads(CERTIFICATES[0])
    stamp = authority.respond(timestamps.request(envelope.signature))
    stamped = certificate.loads(certificate.dumps(envelope, [stamp]))
    assert entries.certificate_entry(stamped) == entries.certificate_entry(envelope)
