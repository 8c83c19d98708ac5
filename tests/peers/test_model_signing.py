"""Whether OpenSSF's `model_signing` accepts our model signatures, and refuses altered models."""

import base64
import json
import subprocess
import sys
from pathlib import Path

import pytest

from ledger.keys import certificate_key, ensure_signing_keys
from registry import storage
from registry.signatures import version_signature
from spellmark.certificates import keys
from spellmark.cli import main as spellmark
from spellmark.model_files.signature import sign_folder
from tests.factories import published_version
from tests.spellmark.certificates.certificate_samples import ALICE, CHARLIE

pytestmark = pytest.mark.peer


def accepts(folder: Path, signature: Path, key=ALICE) -> bool:
    public = folder.parent / "public.pem"
    public.write_text(keys.public_pem(key.public_key()))
    done = subprocess.run(
        [
            sys.executable, "-m", "model_signing", "verify", "key", str(folder),
            "--public_key", str(public), "--signature", str(signature),
        ],
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return done.returncode == 0


def subjects(signature: bytes) -> list:
    envelope = json.loads(signature)["dsseEnvelope"]
    return json.loads(base64.b64decode(envelope["payload"]))["subject"]


@pytest.fixture
def model(tmp_path) -> Path:
    folder = tmp_path / "robin"
    (folder / "weights").mkdir(parents=True)
    (folder / "card.json").write_text("{}")
    (folder / "empty").touch()
    (folder / ".gitignore").write_text("*.tmp")
    (folder / "weights" / "a-b.bin").write_bytes(b"b" * 70_000)
    (folder / "weights" / "a.bin").write_bytes(b"a" * 3_000_000)
    return folder


def test_a_registered_version_is_accepted_and_refused_when_altered(alice_actor, acme, tmp_path):
    ensure_signing_keys()
    version = published_version(alice_actor)
    folder = tmp_path / "download"
    folder.mkdir()
    for file in version.files.all():
        (folder / file.name).write_bytes(storage.get(file.sha256))
    signature = tmp_path / "model.sig"
    signature.write_bytes(version_signature(version))
    key = certificate_key()
    assert accepts(folder, signature, key)
    assert not accepts(folder, signature, CHARLIE)
    first = folder / version.files.first().name
    data = bytearray(first.read_bytes())
    data[-1] ^= 1
    first.write_bytes(bytes(data))
    assert not accepts(folder, signature, key)
    (subject,) = subjects(signature.read_bytes())
    assert subject == {"name": version.model.name, "digest": {"sha256": version.root_digest}}


def test_the_command_signs_a_folder_that_model_signing_accepts(model, tmp_path):
    keys.save(ALICE, tmp_path / "key.pem")
    inside = model / "model.sig"
    command = ["sign", str(model), "--key", str(tmp_path / "key.pem"), "--signature", str(inside)]
    for _ in range(2):  # the second time its own signature lies there already
        assert spellmark(command) == 0
        assert accepts(model, inside)
    moved = inside.rename(tmp_path / "model.sig")
    (model / "new.bin").write_bytes(b"not signed")
    assert not accepts(model, moved)
    (model / "new.bin").unlink()
    assert accepts(model, moved)
    (model / "weights" / "a.bin").rename(model / "weights" / "c.bin")
    assert not accepts(model, moved)


def test_its_library_accepts_a_signature_over_shards(model, tmp_path):
    from model_signing import verifying

    (model / "empty").unlink()  # it has no shards
    signature = tmp_path / "model.sig"
    signature.write_bytes(sign_folder(model, ALICE, shard_bytes=1 << 20))
    (tmp_path / "public.pem").write_text(keys.public_pem(ALICE.public_key()))

    def verify() -> None:
        config = verifying.Config().use_elliptic_key_verifier(public_key=tmp_path / "public.pem")
        config.verify(model, signature)

    verify()
    with (model / "weights" / "a.bin").open("r+b") as file:
        file.seek(2_500_000)
        file.write(b"x")
    with pytest.raises(ValueError, match="mismatch"):
        verify()


def test_signatures_of_model_signing_itself_have_our_root(model, tmp_path):
    """Both take the same digest from the same files."""
    from model_signing import signing

    keys.save(ALICE, tmp_path / "key.pem")
    theirs = tmp_path / "theirs.sig"
    config = signing.Config().use_elliptic_key_signer(private_key=tmp_path / "key.pem")
    (model / ".gitignore").unlink()
    config.sign(model, theirs)
    assert subjects(theirs.read_bytes()) == subjects(sign_folder(model, ALICE))
