import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from spellmark.certificates import checkpoints, cosignatures, keys, notes
from spellmark.certificates.errors import FormatError, VerificationError
from spellmark.certificates.notes import COSIGNATURE, ML_DSA_44, Signer, Verifier

TEXT = checkpoints.Checkpoint("log.example/1", 7, bytes(range(32))).body()
W1 = Signer("witness.example/w1", Ed25519PrivateKey.from_private_bytes(bytes(32)), COSIGNATURE)
PQ = Signer("witness.example/w1", keys.generate_ml_dsa_44(), ML_DSA_44)
LOG = Signer("log.example/1", Ed25519PrivateKey.from_private_bytes(bytes([1]) * 32))


def test_the_message_of_an_ed25519_cosignature_is_that_of_the_specification():
    text = b"example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    assert cosignatures.ed25519_message(text, 1679315147) == (
        b"cosignature/v1\ntime 1679315147\nexample.com/behind-the-sofa\n20852163\n"
        b"CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    )


def test_the_message_of_an_ml_dsa_cosignature_byte_by_byte():
    assert cosignatures.ml_dsa_message(TEXT, 258, "w") == (
        b"subtree/v1\n\x00"
        b"\x01w"
        b"\x00\x00\x00\x00\x00\x00\x01\x02"
        b"\x0dlog.example/1"
        b"\x00\x00\x00\x00\x00\x00\x00\x00"
        b"\x00\x00\x00\x00\x00\x00\x00\x07" + bytes(range(32))
    )


@pytest.mark.parametrize("signer", [W1, PQ])
def test_a_cosignature_verifies_and_carries_its_time(signer):
    note = notes.parse(notes.sign(TEXT, [LOG]) + signer.line(TEXT, at=1_700_000_000))
    assert notes.verify(note, [signer.verifier]) == [signer.verifier]
    assert cosignatures.split(note.signatures[1].signature)[0] == 1_700_000_000
    assert Verifier.from_vkey(signer.verifier.vkey) == signer.verifier


@pytest.mark.parametrize("signer", [W1, PQ])
@pytest.mark.parametrize("place", [4, 11, 12, 40, -1])
def test_an_altered_cosignature_is_refused(signer, place):
    line = notes.parse(b"x\n\n" + signer.line(TEXT)).signatures[0]
    data = bytearray(line.key_id + line.signature)
    data[place] ^= 1
    altered = notes.Signature(line.name, bytes(data[:4]), bytes(data[4:]))
    with pytest.raises(VerificationError, match="does not fit"):
        notes.verify(notes.Note(TEXT, (altered,)), [signer.verifier])


def test_one_kind_of_signature_is_not_taken_for_another():
    """The key id names the kind, and the cosigned message has its own beginning."""
    plain = Signer(W1.name, W1.private_key)
    assert plain.verifier.key_id != W1.verifier.key_id
    signature = plain.private_key.sign(TEXT)
    line = notes.Signature(W1.name, W1.verifier.key_id, bytes(8) + signature)
    with pytest.raises(VerificationError):
        notes.verify(notes.Note(TEXT, (line,)), [W1.verifier])


def test_without_ml_dsa_its_signatures_are_those_of_an_unknown_key(monkeypatch):
    monkeypatch.setattr(cosignatures, "HAS_ML_DSA", False)
    note = notes.parse(notes.sign(TEXT, [LOG, PQ]))
    assert notes.verify(note, [LOG.verifier, PQ.verifier]) == [LOG.verifier]


@pytest.mark.parametrize("text", [b"", b"a\n1\n", b"a\nx\n" + b"A" * 43 + b"=\n", b"a\n1\nAA==\n"])
def test_what_is_no_checkpoint_is_not_cosigned_by_ml_dsa(text):
    with pytest.raises(FormatError):
        cosignatures.ml_dsa_message(text, 1, "w")


@pytest.mark.parametrize("data", [b"", bytes(8), b"\xff" * 9])
def test_a_cosignature_without_time_or_signature_is_refused(data):
    with pytest.raises(FormatError):
        cosignatures.split(data)
