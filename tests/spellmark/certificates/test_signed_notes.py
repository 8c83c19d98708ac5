from contextlib import suppress

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from spellmark.certificates import notes
from spellmark.certificates.errors import FormatError, VerificationError
from spellmark.certificates.notes import Signer, Verifier
from tests.spellmark.certificates.certificate_samples import LOG, NEXT_LOG, WITNESS

# The example of c2sp.org/signed-note.
VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
EXAMPLE = (
    "This is an example message.\n\n— example.com/foo "
    "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
).encode()
TEXT = b"one line\n\nafter an empty one\n"


def text_of(data, verifiers):
    """The text of a signed note, once it is verified."""
    note = notes.parse(data)
    notes.verify(note, verifiers)
    return note.text


def test_it_opens_the_example_of_the_specification():
    verifier = Verifier.from_vkey(VKEY)
    assert verifier.vkey == VKEY
    assert text_of(EXAMPLE, [verifier]) == b"This is an example message.\n"


def test_it_opens_what_it_signed():
    note = notes.sign(TEXT, [LOG])
    assert text_of(note, [LOG.verifier]) == TEXT
    assert note == TEXT + b"\n" + LOG.line(TEXT)


def test_old_and_new_key_are_accepted_while_a_log_changes_keys():
    note = notes.sign(TEXT, [LOG, NEXT_LOG])
    for trusted in ([LOG], [NEXT_LOG], [LOG, NEXT_LOG]):
        verifiers = [signer.verifier for signer in trusted]
        assert notes.verify(notes.parse(note), verifiers) == verifiers


def test_a_signature_can_be_added_later():
    note = notes.add_signatures(notes.sign(TEXT, [LOG]), WITNESS.line(TEXT))
    assert note == notes.sign(TEXT, [LOG, WITNESS])


def test_unknown_signatures_are_ignored():
    stranger = b"\xe2\x80\x94 charlie.example/key " + b"AAAAAAE=\n"
    note = notes.add_signatures(notes.sign(TEXT, [LOG]), stranger)
    assert text_of(note, [LOG.verifier]) == TEXT


def test_it_refuses_a_note_that_no_trusted_key_signed():
    with pytest.raises(VerificationError, match="No trusted key"):
        text_of(notes.sign(TEXT, [LOG]), [WITNESS.verifier])


def test_it_refuses_a_false_signature_of_a_known_key_beside_a_true_one():
    other = b"another text\n"
    note = notes.sign(TEXT, [LOG]) + WITNESS.line(other)
    assert text_of(note, [LOG.verifier]) == TEXT
    with pytest.raises(VerificationError, match="altered"):
        text_of(note, [LOG.verifier, WITNESS.verifier])


def test_it_accepts_sixteen_signatures_and_refuses_a_hundred_and_one():
    note = notes.sign(TEXT, [LOG])
    extra = "— charlie.example AAAAAAE=\n".encode()
    assert text_of(note + extra * 15, [LOG.verifier]) == TEXT
    with pytest.raises(FormatError, match="more than 100"):
        notes.parse(note + extra * 100)


@given(st.integers(0, len(EXAMPLE) - 1), st.integers(1, 255))
def test_it_refuses_every_altered_byte(place, change):
    altered = bytearray(EXAMPLE)
    altered[place] ^= change
    with pytest.raises((FormatError, VerificationError)):
        text_of(bytes(altered), [Verifier.from_vkey(VKEY)])


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_parsing_never_fails_in_another_way(data):
    with suppress(FormatError):
        notes.parse(b"text\n\n" + data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"text\n",
        b"text\n\n",
        b"text\n\nno signature\n",
        EXAMPLE[:-1],
        EXAMPLE.replace(b"\n", b"\r\n"),
        EXAMPLE.replace(b"example.com/foo ", b"example.com/foo  "),
        EXAMPLE.replace(b"example.com/foo ", b"example.com+foo "),
        EXAMPLE.replace(b"yaQM=\n", b"yaQN=\n"),
        EXAMPLE + b"\n",
        EXAMPLE.replace("—".encode(), b"-"),
        b"\xff" + EXAMPLE,
        "text\n\n— name AAAAAA==\n".encode(),
    ],
)
def test_it_refuses_malformed_notes(data):
    with pytest.raises(FormatError):
        notes.parse(data)


def test_it_refuses_to_sign_a_text_without_a_last_newline():
    with pytest.raises(FormatError):
        notes.sign(b"no newline", [LOG])
    with pytest.raises(FormatError, match="newline"):
        notes.sign("a\n\n— name AAAAAAE=".encode(), [LOG])


@pytest.mark.parametrize("name", ["", "two words", "a+b", "a\u00a0b", "a\nb"])
def test_it_refuses_key_names_that_notes_cannot_hold(name):
    signer = Signer(name, Ed25519PrivateKey.from_private_bytes(bytes(32)))
    with pytest.raises(FormatError):
        notes.sign(TEXT, [signer])


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "example.com/foo",
        VKEY.replace("530d903a", "530d903b"),
        VKEY.replace("530d903a", "530D903A"),
        VKEY.replace("example.com/foo", "example.com/bar"),
        VKEY.replace("+Aeky", "+Beky"),
        VKEY[:-4],
        VKEY + "+",
    ],
)
def test_it_refuses_malformed_vkeys(vkey):
    with pytest.raises(FormatError):
        Verifier.from_vkey(vkey)


def test_a_signer_does_not_show_its_key():
    assert "private" not in repr(LOG)
