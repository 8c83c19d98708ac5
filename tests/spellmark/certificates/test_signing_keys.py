import os
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from spellmark.certificates import keys
from spellmark.certificates.keys import SigningKeyError
from tests.spellmark.certificates.certificate_samples import ALICE


def test_keys_read_back(tmp_path):
    p256, ed25519 = keys.generate_p256(), keys.generate_ed25519()
    keys.save(p256, tmp_path / "certificate.pem")
    keys.save(ed25519, tmp_path / "log.pem")
    assert keys.load_p256(tmp_path / "certificate.pem").private_numbers() == p256.private_numbers()
    assert keys.load(tmp_path / "log.pem").private_bytes_raw() == ed25519.private_bytes_raw()


def test_a_key_file_is_for_its_owner_only_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        keys.save(ALICE, tmp_path / "key.pem")
    finally:
        os.umask(before)
    assert (tmp_path / "key.pem").stat().st_mode & 0o777 == 0o600


def test_a_key_is_never_overwritten(tmp_path):
    path = tmp_path / "key.pem"
    keys.save(ALICE, path)
    before = path.read_bytes()
    with pytest.raises(SigningKeyError, match="exists already"):
        keys.save(keys.generate_p256(), path)
    assert path.read_bytes() == before


def test_a_link_is_not_followed_when_a_key_is_written(tmp_path):
    (tmp_path / "link.pem").symlink_to(tmp_path / "elsewhere.pem")
    with pytest.raises(SigningKeyError, match="exists already"):
        keys.save(ALICE, tmp_path / "link.pem")
    assert not (tmp_path / "elsewhere.pem").exists()


def test_a_failed_write_leaves_no_half_key(tmp_path, monkeypatch):
    def full(descriptor: int) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="full"):
        keys.save(ALICE, tmp_path / "key.pem")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610, 0o602])
def test_it_refuses_a_key_that_others_can_reach(tmp_path, mode):
    path = tmp_path / "key.pem"
    keys.save(ALICE, path)
    path.chmod(mode)
    with pytest.raises(SigningKeyError, match="chmod 600"):
        keys.load_p256(path)


def test_it_refuses_the_wrong_kind_of_key(tmp_path):
    keys.save(keys.generate_ed25519(), tmp_path / "ed25519.pem")
    keys.save(ec.generate_private_key(ec.SECP384R1()), tmp_path / "p384.pem")
    for name in ("ed25519.pem", "p384.pem"):
        with pytest.raises(SigningKeyError, match="is not a P-256 key"):
            keys.load_p256(tmp_path / name)


def write_private(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    path.chmod(0o600)
    return path


def test_it_refuses_what_is_no_key_without_quoting_it(tmp_path):
    path = write_private(tmp_path / "key.pem", b"hush hush")
    with pytest.raises(SigningKeyError, match="not a private key in PEM form") as caught:
        keys.load_p256(path)
    assert "hush" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_it_asks_for_the_passphrase_of_an_encrypted_key(tmp_path):
    path = tmp_path / "key.pem"
    keys.save(ALICE, path, b"password")
    assert b"ENCRYPTED PRIVATE KEY" in path.read_bytes()
    assert keys.load_p256(path, b"password").private_numbers() == ALICE.private_numbers()
    with pytest.raises(SigningKeyError, match="no passphrase was given"):
        keys.load_p256(path)
    with pytest.raises(SigningKeyError, match="this passphrase opens"):
        keys.load_p256(path, b"passw0rd")


def test_a_passphrase_does_no_harm_to_a_key_without_one(tmp_path):
    path = tmp_path / "key.pem"
    keys.save(ALICE, path)
    assert keys.load_p256(path, b"password").private_numbers() == ALICE.private_numbers()


def test_openssl_opens_an_encrypted_key(tmp_path):
    keys.save(ALICE, tmp_path / "key.pem", b"password")
    done = subprocess.run(
        ["openssl", "pkey", "-in", tmp_path / "key.pem", "-passin", "pass:password", "-pubout"],
        capture_output=True,
        check=True,
    )
    assert done.stdout.decode() == keys.public_pem(ALICE.public_key())


def test_it_says_that_a_key_file_is_missing(tmp_path):
    with pytest.raises(SigningKeyError, match="cannot be read"):
        keys.load_p256(tmp_path / "none.pem")
    with pytest.raises(SigningKeyError, match="cannot be written"):
        keys.save(ALICE, tmp_path / "none" / "key.pem")


def test_a_public_key_reads_back_and_names_itself():
    pem = keys.public_pem(ALICE.public_key())
    key = keys.load_public_p256(pem)
    assert key == ALICE.public_key()
    der = subprocess.run(
        ["openssl", "pkey", "-pubin", "-outform", "DER"],
        input=pem.encode(),
        capture_output=True,
        check=True,
    )
    digest = subprocess.run(
        ["openssl", "dgst", "-sha256", "-r"], input=der.stdout, capture_output=True, check=True
    )
    assert digest.stdout.decode().split()[0] == keys.keyid(key)


@pytest.mark.parametrize("text", ["", "no key", "-----BEGIN PUBLIC KEY-----\n"])
def test_it_refuses_what_is_no_public_key(text):
    with pytest.raises(SigningKeyError):
        keys.load_public_p256(text)
