import pytest
from hypothesis import given
from hypothesis import strategies as st

from spellmark.certificates import checkpoints, keys, notes
from spellmark.certificates.errors import FormatError, VerificationError
from spellmark.certificates.notes import COSIGNATURE, Signer
from spellmark.certificates.policy import Policy

LOG = Signer("log.example/1", keys.generate_ed25519())
WITNESSES = [
    Signer(f"witness.example/w{n}", keys.generate_ed25519(), COSIGNATURE) for n in range(1, 5)
]
W = [signer.verifier.vkey for signer in WITNESSES]
TEXT = f"""
# two of three, and one of ours
log {LOG.verifier.vkey} https://log.example/1

witness X1 {W[0]}
witness\tX2  {W[1]} https://w2.example
witness X3 {W[2]}
group X 2 X1 X2 X3
witness Y1 {W[3]}
group both all X Y1
  quorum both
""".encode()


def _note(*signers):
    text = checkpoints.Checkpoint("log.example/1", 3, bytes(32)).body()
    return notes.sign(text, [LOG, *signers])


def test_it_reads_and_writes_a_policy():
    policy = Policy.loads(TEXT)
    assert policy.witnesses[1].url == "https://w2.example"
    assert Policy.loads(policy.dumps()) == policy


@pytest.mark.parametrize(
    ("names", "is_met"),
    [
        ([], False), (["X1", "X2"], False), (["X1", "Y1"], False), (["X1", "X3", "Y1"], True),
        (["X1", "X2", "X3", "Y1"], True), (["Y1"], False),
    ],
)  # fmt: skip
def test_groups_count_their_members(names, is_met):
    assert Policy.loads(TEXT).is_met(names) is is_met


def test_a_checkpoint_needs_the_log_and_the_quorum():
    policy = Policy.loads(TEXT)
    assert policy.open_checkpoint(_note(WITNESSES[0], WITNESSES[2], WITNESSES[3])).size == 3
    with pytest.raises(VerificationError, match="quorum both is not reached by X1, X3"):
        policy.open_checkpoint(_note(WITNESSES[0], WITNESSES[2]))
    stranger = Signer("witness.example/w4", keys.generate_ed25519(), COSIGNATURE)
    with pytest.raises(VerificationError, match="not reached"):
        policy.open_checkpoint(_note(WITNESSES[0], WITNESSES[2], stranger))
    other = notes.sign(b"log.example/2\n3\n" + b"A" * 43 + b"=\n", [LOG])
    with pytest.raises(VerificationError, match="not among the trusted logs"):
        policy.open_checkpoint(other)


def test_no_witness_is_needed_where_the_policy_says_so():
    policy = Policy.loads(f"log {LOG.verifier.vkey}\nquorum none\n".encode())
    assert policy.open_checkpoint(_note()).size == 3


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no quorum line"),
        ("quorum none\nquorum none\n", "Line 2 .* already"),
        ("quorum w\n", "Line 1 .* not defined"),
        (f"witness none {W[0]}\nquorum none\n", "taken"),
        (f"witness a {W[0]}\nwitness a {W[1]}\nquorum a\n", "Line 2 .* name a is taken, and every"),
        (f"witness a {W[0]}\nwitness b {W[0]}\nquorum a\n", "listed twice"),
        (f"witness a {LOG.verifier.vkey}\nquorum a\n", "not of a type"),
        (f"log {W[0]}\nquorum none\n", "not of a type"),
        (f"witness a {W[0]}\ngroup g 2 a\nquorum g\n", "not a number of members"),
        (f"witness a {W[0]}\ngroup g 0 a\nquorum g\n", "not a number of members"),
        (f"witness a {W[0]}\ngroup g any a a\nquorum g\n", "member twice"),
        (f"witness a {W[0]}\ngroup g any a\ngroup h any a\nquorum g\n", "member twice"),
        ("group g any none\nquorum g\n", "not defined"),
        ("group g any\nquorum none\n", "not a log, witness"),
        ("hello\n", "not a log, witness"),
        ("quorum none\r\n", "control characters"),
        (f"log {LOG.verifier.vkey[:-4]}AAA=\nquorum none\n", "Line 1"),
    ],
    # The keys are drawn, so texts would not name the same tests in every process.
    ids=range(17),
)
def test_it_refuses_what_the_specification_does(text, told):
    with pytest.raises(FormatError, match=told):
        Policy.loads(text.encode())


@given(st.binary(max_size=80))
def test_any_bytes_are_read_or_refused(data):
    try:
        policy = Policy.loads(data + b"\nquorum none\n")
    except FormatError:
        return
    assert policy.quorum == "none"
