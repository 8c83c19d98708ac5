"""What programs that are not ours say of our certificates."""

import base64
import hashlib
import json
import subprocess
import zipfile

import pytest
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

from spellmark.certificates import certificate, entries, keys
from spellmark.certificates.readme import README
from tests.programs import need
from tests.spellmark.certificates.certificate_samples import (
    ALICE,
    CHARLIE,
    REGISTRATION,
    TRANSCRIPT,
    VERDICT,
    bundle_of,
)

pytestmark = pytest.mark.peer

CERTIFICATES = [certificate.issue(statement, ALICE) for statement in (REGISTRATION, VERDICT)]


def openssl_accepts(folder, signed: bytes, signature: bytes) -> bool:
    (folder / "key.pem").write_text(keys.public_pem(ALICE.public_key()))
    (folder / "signature.der").write_bytes(signature)
    done = subprocess.run(
        ["openssl", "dgst", "-sha256", "-verify", "key.pem", "-signature", "signature.der"],
        cwd=folder,
        input=signed,
        capture_output=True,
        check=False,
    )
    return done.returncode == 0 and done.stdout.strip() == b"Verified OK"


@pytest.mark.parametrize("data", CERTIFICATES)
def test_openssl_accepts_a_certificate_and_refuses_an_altered_one(tmp_path, data):
    envelope = certificate.loads(data)
    altered = envelope.pae().replace(b"robin", b"rabin").replace(b"match", b"hatch")
    assert altered != envelope.pae()
    assert openssl_accepts(tmp_path, envelope.pae(), envelope.signature)
    assert not openssl_accepts(tmp_path, altered, envelope.signature)


def securesystemslib_accepts(envelope: dict, key) -> bool:
    trusted = SSlibKey.from_crypto(key.public_key(), keyid=keys.keyid(key.public_key()))
    try:
        Envelope.from_dict(envelope).verify([trusted], 1)
    except VerificationError:
        return False
    return True


@pytest.mark.parametrize("data", CERTIFICATES)
def test_securesystemslib_accepts_a_certificate_and_refuses_an_altered_one(data):
    def envelope(**change) -> dict:
        return json.loads(data)["dsseEnvelope"] | change

    payload = base64.b64decode(envelope()["payload"])
    altered = base64.b64encode(payload.replace(b"sha256", b"sha265")).decode()
    assert securesystemslib_accepts(envelope(), ALICE)
    assert not securesystemslib_accepts(envelope(), CHARLIE)
    assert not securesystemslib_accepts(envelope(payload=altered), ALICE)
    assert not securesystemslib_accepts(envelope(payloadType="text/plain"), ALICE)


def commands(readme: str) -> list[str]:
    return [line.strip() for line in readme.splitlines() if line.startswith("    ")]


def test_the_commands_of_the_readme_verify_a_bundle(tmp_path):
    need("openssl", "jq")
    bundle = bundle_of(VERDICT)
    bundle.save(tmp_path / "bundle.zip")
    with zipfile.ZipFile(tmp_path / "bundle.zip") as archive:
        archive.extractall(tmp_path)
    (tmp_path / "key.pem").write_text(keys.public_pem(ALICE.public_key()))
    script = [line for line in commands(README) if not line.startswith(("pip", "spellmark", "--"))]
    assert len(script) == 7

    def run() -> str:
        done = subprocess.run(
            ["sh", "-c", "\n".join(script)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout

    entry = entries.certificate_entry(certificate.loads(bundle.certificate)).decode()
    said = run()
    assert "Verified OK" in said
    assert f"{hashlib.sha256(TRANSCRIPT).hexdigest()}  transcript.jsonl" in said
    assert said.endswith(entry)
    assert (tmp_path / "statement.json").read_bytes() == VERDICT.dumps()

    other = certificate.loads(CERTIFICATES[0])
    mine = certificate.loads(bundle.certificate)
    forged = certificate.dumps(type(mine)(**{**vars(mine), "payload": other.payload}))
    (tmp_path / "certificate.sigstore.json").write_bytes(forged)
    assert "Verified OK" not in run()
