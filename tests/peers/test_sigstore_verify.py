"""What Sigstore's own verifier and in-toto's own parser say of our certificates."""

import base64
import hashlib
import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from google.protobuf import json_format
from in_toto_attestation.v1.statement import Statement as InTotoStatement
from in_toto_attestation.v1.statement_pb2 import Statement as StatementMessage

from spellmark.certificates import certificate, entries, keys, notes, svr, timestamps
from spellmark.certificates.checkpoints import parse_body
from spellmark.certificates.encoding import to_base64, to_json
from spellmark.certificates.tlog_proof import TlogProof
from spellmark.certificates.trusted_root import trusted_root
from tests.programs import need
from tests.spellmark.certificates.certificate_samples import (
    ALICE,
    CHARLIE,
    LOG,
    REGISTRATION,
    SIGNERS,
    TRUST,
    VERDICT,
    Tree,
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


def sigstore(
    folder: Path, bundle: bytes, authority=None, *, timestamps=0, entries=0, key=ALICE
) -> str:
    pems = (authority.pem,) if authority else ()
    root = trusted_root(replace(TRUST, timestamp_authorities=pems))
    (folder / "bundle.json").write_bytes(bundle)
    (folder / "key.pem").write_text(keys.public_pem(key.public_key()))
    (folder / "trusted_root.json").write_text(json.dumps(root))
    files = [str(folder / name) for name in ("bundle.json", "key.pem")]
    asked = [str(folder / "trusted_root.json"), str(timestamps), str(entries)]
    done = subprocess.run(
        ["node", "verify.js", *files, KEYID, *asked],
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
    assert sigstore(tmp_path, stamped, authority, timestamps=1) == "accepted"
    assert sigstore(tmp_path, plain, authority, timestamps=1) == "TIMESTAMP_ERROR"
    other = certificate.loads(CERTIFICATES[1])
    moved = certificate.dumps(other, [stamp])
    assert sigstore(tmp_path, moved, authority, timestamps=1) == "TIMESTAMP_ERROR"


def logged(bundle: bytes, body: bytes, *, kind: str, version: str, index: int = 2) -> bytes:
    """The bundle with a log entry as Sigstore writes it, under a checkpoint as we publish them."""
    proof = TlogProof.loads(Tree.of(b"0", b"1", body, b"3", b"4").proof(2, *SIGNERS))
    checkpoint = parse_body(notes.parse(proof.checkpoint).text)
    value = json.loads(bundle)
    value["verificationMaterial"]["tlogEntries"] = [
        {
            "logIndex": str(index),
            "logId": {"keyId": to_base64(LOG.verifier.key_id)},
            "kindVersion": {"kind": kind, "version": version},
            "integratedTime": "0",
            "inclusionProof": {
                "logIndex": str(index),
                "treeSize": str(checkpoint.size),
                "rootHash": to_base64(checkpoint.root),
                "hashes": [to_base64(one) for one in proof.hashes],
                "checkpoint": {"envelope": proof.checkpoint.decode()},
            },
            "canonicalizedBody": to_base64(body),
        }
    ]
    return json.dumps(value).encode()


def test_sigstore_accepts_our_checkpoints_and_proofs_by_the_trusted_root(tmp_path):
    data = CERTIFICATES[0]
    envelope = certificate.loads(data)
    digest = {"algorithm": "sha256", "value": hashlib.sha256(envelope.payload).hexdigest()}
    spec = {
        "payloadHash": digest, "signatures": [{"signature": to_base64(envelope.signature)}]
    }  # fmt: skip
    theirs = {"kind": "dsse", "version": "0.0.1"}
    body = to_json({"apiVersion": theirs["version"], "kind": theirs["kind"], "spec": spec})
    assert sigstore(tmp_path, data, entries=1) == "TLOG_ERROR"
    assert sigstore(tmp_path, logged(data, body, **theirs), entries=1) == "accepted"
    moved = logged(data, body, index=1, **theirs)
    assert sigstore(tmp_path, moved, entries=1) == "TLOG_INCLUSION_PROOF_ERROR"
    # An entry of ours has its place there, too, but Sigstore reads entries of its own kinds alone,
    # and they name the signature. So our bundles hold none: the .tlog-proof is beside them.
    ours = logged(data, entries.certificate_entry(envelope), kind="certificate/v1", version="")
    assert sigstore(tmp_path, ours, entries=1) == "TLOG_BODY_ERROR"


def test_sigstore_reads_the_time_of_each_log_key(tmp_path):
    """It has a place for every field that we write, and takes a missing end for none."""
    written = trusted_root(ROTATING)
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
