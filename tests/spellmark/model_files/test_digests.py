import hashlib
from pathlib import Path

import pytest

from spellmark.model_files.digests import oms_root_digest, sha256_file
from spellmark.model_files.errors import ModelFileError

A, B = hashlib.sha256(b"a").hexdigest(), hashlib.sha256(b"b").hexdigest()


def test_it_knows_the_digest_of_abc(tmp_path: Path):
    # FIPS 180-2, appendix B.1
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    assert sha256_file(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_it_knows_the_digest_of_a_million_letters(tmp_path: Path):
    # FIPS 180-2, appendix B.3
    path = tmp_path / "million"
    path.write_bytes(b"a" * 1_000_000)
    assert sha256_file(path) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"


def test_its_root_is_that_of_the_published_test_vectors():
    # OpenSSF Model Signing v1.0, test-vectors/v1.0/valid: files "signme-1" and "signme-2"
    files = {
        "signme-2": "32dcb1f8e1ae52d5963e56a6ba06ab58b424c15ed2a6b70d2feca1d089370028",
        "signme-1": "bc9a717db6064a32cbe9eae6fc40651dd6d36ef1757183f590eff2b1765d7ebc",
    }
    assert (
        oms_root_digest(files) == "92745110b1ab4368471cbe31664e10174e954b113a3df333db860317b2c6dec4"
    )


def test_a_single_file_is_hashed_once_more():
    assert oms_root_digest({"model.onnx": A}) == hashlib.sha256(bytes.fromhex(A)).hexdigest()


@pytest.mark.parametrize(
    ("first", "second"),
    [("a-b", "a/b"), ("B", "a"), ("a", "ä"), ("\uffff", "\U00010000"), ("a10", "a9")],
)
def test_its_order_is_that_of_code_points(first: str, second: str):
    expected = hashlib.sha256(bytes.fromhex(A) + bytes.fromhex(B)).hexdigest()
    assert oms_root_digest({second: B, first: A}) == expected


def test_it_changes_with_any_file():
    roots = {
        oms_root_digest(files)
        for files in ({"a": A}, {"a": B}, {"a": A, "b": B}, {"a": B, "b": A}, {"a": A, "b": A})
    }
    assert len(roots) == 5


def test_it_refuses_a_version_without_files():
    with pytest.raises(ModelFileError, match="without files"):
        oms_root_digest({})


@pytest.mark.parametrize("name", ["", "/a", "a/", "a//b", "./a", "a/../b", "..", "a\ud800"])
def test_it_refuses_a_name_that_is_not_canonical(name: str):
    with pytest.raises(ModelFileError, match="not a canonical file name"):
        oms_root_digest({name: A})


@pytest.mark.parametrize("digest", ["", A[:-1], A.upper(), A + "\n", "sha256:" + A, "g" * 64])
def test_it_refuses_what_is_not_a_digest(digest: str):
    with pytest.raises(ModelFileError, match="not a SHA-256 digest"):
        oms_root_digest({"a": digest})
