import pytest
from hypothesis import given
from hypothesis import strategies as st

from spellmark.certificates import checkpoints, notes
from spellmark.certificates.checkpoints import Checkpoint
from spellmark.certificates.errors import FormatError, VerificationError
from tests.spellmark.certificates.certificate_samples import LOG, NEXT_LOG, ORIGIN, WITNESS

# The text of the example in c2sp.org/tlog-checkpoint.
EXAMPLE = b"example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
CHECKPOINT = Checkpoint(ORIGIN, 7, bytes(range(32)))
LOGS = {ORIGIN: [LOG.verifier]}


def test_it_reads_and_writes_the_example_of_the_specification():
    checkpoint = checkpoints.parse_body(EXAMPLE)
    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20852163)
    assert checkpoint.root.hex().startswith("0ac5186a91863e8e")
    assert checkpoint.body() == EXAMPLE


@given(st.integers(0, 2**63 - 1), st.binary(min_size=32, max_size=32))
def test_every_checkpoint_reads_back(size, root):
    checkpoint = Checkpoint(ORIGIN, size, root)
    assert checkpoints.parse_body(checkpoint.body()) == checkpoint


def test_it_opens_what_a_trusted_log_signed():
    signed = checkpoints.sign(CHECKPOINT, [LOG, NEXT_LOG, WITNESS])
    assert checkpoints.open_checkpoint(signed, LOGS) == CHECKPOINT
    assert checkpoints.open_checkpoint(signed, {ORIGIN: [NEXT_LOG.verifier]}) == CHECKPOINT


def test_it_refuses_an_unknown_log():
    signed = checkpoints.sign(Checkpoint("charlie.example/log", 7, bytes(32)), [LOG])
    with pytest.raises(VerificationError, match="not among the trusted logs"):
        checkpoints.open_checkpoint(signed, LOGS)


def test_one_log_cannot_sign_for_another():
    signed = checkpoints.sign(CHECKPOINT, [WITNESS])
    logs = {**LOGS, WITNESS.name: [WITNESS.verifier]}
    with pytest.raises(VerificationError, match="No trusted key"):
        checkpoints.open_checkpoint(signed, logs)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        EXAMPLE[:-1],
        EXAMPLE + b"extension\n",
        EXAMPLE + b"\n",
        EXAMPLE.replace(b"20852163", b"020852163"),
        EXAMPLE.replace(b"20852163", b"-1"),
        EXAMPLE.replace(b"20852163", "٣".encode()),
        EXAMPLE.replace(b"20852163", b"9223372036854775808"),
        EXAMPLE.replace(b"q2I=", b"q2J="),
        EXAMPLE.replace(b"CsUY", b""),
        EXAMPLE.replace(b"example.com/behind-the-sofa", b""),
        b"\xff" + EXAMPLE,
    ],
)
def test_it_refuses_malformed_checkpoints(text):
    with pytest.raises(FormatError):
        checkpoints.parse_body(text)


def test_it_refuses_to_sign_what_it_would_not_read():
    with pytest.raises(FormatError):
        checkpoints.sign(Checkpoint("two\nlines", 7, bytes(32)), [LOG])


def test_it_does_not_open_an_unsigned_checkpoint():
    with pytest.raises(FormatError):
        checkpoints.open_checkpoint(CHECKPOINT.body(), LOGS)
    assert notes.parse(checkpoints.sign(CHECKPOINT, [LOG])).text == CHECKPOINT.body()
