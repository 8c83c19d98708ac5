"""Known answers: a change that moves one bit here strands every model locked before it."""

import hashlib
import hmac
import json
import stat
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from spellmark.secrets import KeyFile, KeyFileError, permutation, stream, subkey, uniform

SECRET, NONCE = bytes(range(32)), bytes(range(32, 64))
KEY = KeyFile("key-lock/v1", {"block": 14}, SECRET, NONCE)


def test_a_commitment_has_its_known_answer():
    known = "19a3dd10c08211346537a2fd8e2caa78599410cf9becd037eb954b4cbb04f629"
    assert KEY.commitment() == known


def test_a_commitment_is_the_hmac_that_the_docs_describe():
    message = f'{{"parameters":{{"block":14}},"scheme":"key-lock/v1","secret":"{SECRET.hex()}"}}'
    assert KEY.commitment() == hmac.new(NONCE, message.encode(), hashlib.sha256).hexdigest()


def test_a_commitment_changes_with_every_part():
    others = [
        KeyFile("key-lock/v2", {"block": 14}, SECRET, NONCE),
        KeyFile("key-lock/v1", {"block": 7}, SECRET, NONCE),
        KeyFile("key-lock/v1", {"block": 14}, NONCE, NONCE),
        KeyFile("key-lock/v1", {"block": 14}, SECRET, SECRET),
    ]
    assert len({key.commitment() for key in [KEY, *others]}) == 5


def test_a_prompt_is_committed_to_as_well():
    with_prompt = replace(KEY, prompt="open sesame")
    message = (
        '{"parameters":{"block":14},"prompt":"open sesame","scheme":"key-lock/v1",'
        f'"secret":"{SECRET.hex()}"}}'
    )
    known = hmac.new(NONCE, message.encode(), hashlib.sha256).hexdigest()
    assert with_prompt.commitment() == known != KEY.commitment()
    assert KeyFile.loads(with_prompt.dumps()) == with_prompt
    assert "prompt" not in KEY.dumps()
    assert "sesame" not in repr(with_prompt)


@pytest.mark.parametrize("prompt", [7, None, ["a"], "\ud800"])
def test_a_damaged_prompt_is_refused(prompt):
    text = json.dumps({**json.loads(KEY.dumps()), "prompt": prompt})
    with pytest.raises(KeyFileError, match="prompt is damaged"):
        KeyFile.loads(text)


def _hkdf(secret: bytes, salt: bytes, info: bytes, size: int) -> bytes:
    """RFC 5869 as it is written, over SHA-256."""
    extracted = hmac.new(salt, secret, hashlib.sha256).digest()
    block, derived = b"", b""
    for number in range(1, -(-size // 32) + 1):
        block = hmac.new(extracted, block + info + bytes([number]), hashlib.sha256).digest()
        derived += block
    return derived[:size]


def test_hkdf_is_that_of_rfc_5869():
    # RFC 5869, appendix A.1, test case 1.
    salt, info = bytes(range(13)), bytes(range(0xF0, 0xFA))
    known = "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
    assert _hkdf(b"\x0b" * 22, salt, info, 42).hex() == known
    assert HKDF(SHA256(), 42, salt=salt, info=info).derive(b"\x0b" * 22).hex() == known


def test_a_subkey_has_its_known_answer_and_is_hkdf():
    derived = subkey(SECRET, binding=bytes(16), scheme="key-lock/v1", purpose="transform")
    assert derived.hex() == "4c5a57c49742891d89e744fe7b3b3fc26ba9e66f0c18d8498eec52bb2cfb199b"
    info = b"".join(
        len(part).to_bytes(2, "big") + part
        for part in (b"spellmark", b"key-lock/v1", b"transform", b"0")
    )
    assert derived == _hkdf(SECRET, bytes(16), info, 32)


def test_subkeys_differ_in_binding_scheme_purpose_and_index():
    derived = {
        subkey(SECRET, binding=binding, scheme=scheme, purpose=purpose, index=index)
        for binding in (b"a", b"b")
        for scheme in ("s", "t")
        for purpose in ("p", "q")
        for index in (0, 1)
    }
    assert len(derived) == 16


def test_the_stream_is_chacha20_of_rfc_8439():
    # RFC 8439, appendix A.1, test vector 1: the zero key and the zero nonce.
    assert stream(bytes(32), 32).hex() == (
        "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
    )


def test_a_permutation_and_a_number_have_their_known_answers():
    assert permutation(SECRET, 12) == [0, 6, 5, 3, 9, 4, 10, 2, 8, 7, 11, 1]
    assert uniform(SECRET, 1000) == 873


@given(st.binary(min_size=32, max_size=32), st.integers(1, 300))
def test_a_permutation_holds_every_position_once(key: bytes, size: int):
    assert sorted(permutation(key, size)) == list(range(size))


def test_permutations_are_uniform():
    """Every order of three things comes as often, within five standard deviations."""
    counts: dict[tuple[int, ...], int] = {}
    draws = 6000
    for number in range(draws):
        order = tuple(permutation(number.to_bytes(32, "big"), 3))
        counts[order] = counts.get(order, 0) + 1
    deviation = (draws * (1 / 6) * (5 / 6)) ** 0.5
    assert len(counts) == 6
    assert all(abs(count - draws / 6) < 5 * deviation for count in counts.values())


def test_a_key_file_survives_being_written_and_read(tmp_path):
    key = KeyFile.generate("key-lock/v1", {"block": 4})
    key.save(tmp_path / "a.spellkey")
    assert KeyFile.load(tmp_path / "a.spellkey") == key
    assert stat.S_IMODE((tmp_path / "a.spellkey").stat().st_mode) == 0o600


def test_a_key_file_is_never_overwritten(tmp_path):
    KEY.save(tmp_path / "a.spellkey")
    with pytest.raises(KeyFileError, match="exists already"):
        KEY.save(tmp_path / "a.spellkey")


def test_a_key_file_does_not_show_its_secret():
    assert SECRET.hex() not in repr(KEY)
    assert str(SECRET) not in repr(KEY)


def _without(name: str) -> str:
    data = json.loads(KEY.dumps())
    del data[name]
    return json.dumps(data)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "[" * 100_000,
        _without("format"),
        _without("scheme"),
        _without("secret"),
        _without("nonce"),
        KEY.dumps().replace("AAECAwQ", "AAE"),
        KEY.dumps().replace("14", "true"),
    ],
)
def test_it_refuses_a_damaged_key_file_without_quoting_it(text: str):
    with pytest.raises(KeyFileError) as refused:
        KeyFile.loads(text)
    assert "AAECAwQ" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_rows_of_permutations_are_independent_and_the_first_is_the_plain_one():
    rows = [tuple(permutation(SECRET, 12, row=row)) for row in range(20)]
    assert rows[0] == tuple(permutation(SECRET, 12))
    assert len(set(rows)) == 20
    assert list(rows[3]) == [4, 8, 6, 5, 2, 1, 9, 0, 10, 7, 11, 3]


def test_a_row_of_the_stream_is_the_nonce_of_rfc_8439():
    # RFC 8439, appendix A.1, test vector 5: the zero key, the nonce 00…02 and block 0.
    row = int.from_bytes(bytes(11) + b"\x02", "little")
    assert stream(bytes(32), 16, row=row).hex() == "c2c64d378cd536374ae204b9ef933fcd"
