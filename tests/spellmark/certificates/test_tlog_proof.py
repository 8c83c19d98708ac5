from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spellmark.certificates import tlog_proof
from spellmark.certificates.errors import FormatError, VerificationError
from spellmark.certificates.tlog_proof import TlogProof
from tests.spellmark.certificates.certificate_samples import LOG, ORIGIN, WITNESS, Tree

ENTRIES = [b"entry %d" % n for n in range(11)]
TREE = Tree.of(*ENTRIES)
LOGS = {ORIGIN: [LOG.verifier]}
PROOF = TREE.proof(4)
# The example of c2sp.org/tlog-proof without its abridged checkpoint.
EXAMPLE = b"""\
c2sp.org/tlog-proof@v1
extra YWdlLXYxLjIuMS1kYXJ3aW4tYXJtNjQudGFyLmd6kYXJ3aW4tYXJ
index 73894
gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=
B95lDa8R83lS8n0eG+o0buTxRKQTYFi//1U8anccXmA=
EKNzoDWG8LGC0Yp9o+sv3qllpMP9uHQ9B20KNL+Q1zs=
RoopEkOdqkYqMB4MJXrbt/hMjOxsVn0IrWjpz1ZMMes=
AHCioX9nLjsrse6YhjRRmk1WUEirVOLLRoOQ6vfO5vk=

"""


def test_it_reads_and_writes_the_example_of_the_specification():
    proof = TlogProof.loads(EXAMPLE)
    assert proof.index == 73894
    assert len(proof.hashes) == 5
    assert proof.extra is not None and proof.extra.startswith(b"age-v1.2.1-darwin")
    assert proof.dumps() == EXAMPLE


@pytest.mark.parametrize("index", range(11))
def test_every_entry_is_proved(index):
    proof = TlogProof.loads(TREE.proof(index, LOG, WITNESS))
    checkpoint = tlog_proof.verify(proof, ENTRIES[index], LOGS)
    assert (checkpoint.origin, checkpoint.size) == (ORIGIN, 11)


def test_the_only_entry_of_a_log_needs_no_hashes():
    proof = TlogProof.loads(Tree.of(b"alone").proof(0))
    assert proof.hashes == ()
    assert tlog_proof.verify(proof, b"alone", LOGS).size == 1


def test_extra_data_is_carried_but_proves_nothing():
    plain = TlogProof.loads(PROOF)
    proof = TlogProof.loads(
        TlogProof(plain.index, plain.hashes, plain.checkpoint, b"anything").dumps()
    )
    assert proof.extra == b"anything"
    assert tlog_proof.verify(proof, ENTRIES[4], LOGS).size == 11


def test_it_refuses_another_entry():
    with pytest.raises(VerificationError, match="does not lead"):
        tlog_proof.verify(TlogProof.loads(PROOF), b"another", LOGS)


def test_it_refuses_an_untrusted_log():
    with pytest.raises(VerificationError, match="not among the trusted"):
        tlog_proof.verify(TlogProof.loads(PROOF), ENTRIES[4], {})


def test_it_refuses_every_altered_byte():
    for place in range(len(PROOF)):
        altered = bytearray(PROOF)
        altered[place] ^= 1 << place % 8
        with pytest.raises((FormatError, VerificationError)):
            tlog_proof.verify(TlogProof.loads(bytes(altered)), ENTRIES[4], LOGS)


@given(st.integers(0, len(PROOF) - 1), st.integers(1, 255))
def test_it_refuses_any_change_of_a_byte(place, change):
    altered = bytearray(PROOF)
    altered[place] ^= change
    with pytest.raises((FormatError, VerificationError)):
        tlog_proof.verify(TlogProof.loads(bytes(altered)), ENTRIES[4], LOGS)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"c2sp.org/tlog-proof@v1",
        b"c2sp.org/tlog-proof@v1\n\n",
        EXAMPLE[:-1],
        PROOF.replace(b"@v1", b"@v2"),
        PROOF.replace(b"index 4", b"index 04"),
        PROOF.replace(b"index 4", b"index -4"),
        PROOF.replace(b"index 4", b"index  4"),
        PROOF.replace(b"index 4", b"extra \nindex 4").replace(b"extra ", b"extra\n"),
        PROOF.replace(b"index 4\n", b"index 4\nAAAA\n"),
        PROOF.replace(b"index 4\n", b"index 4\n" + b"A" * 43 + b"=\n" + (b"A" * 43 + b"=\n") * 63),
        b"\xff" + PROOF,
    ],
)
def test_it_refuses_malformed_proofs(data):
    with pytest.raises(FormatError):
        TlogProof.loads(data)


@given(st.binary(max_size=200))
def test_parsing_never_fails_in_another_way(data):
    with suppress(FormatError):
        TlogProof.loads(b"c2sp.org/tlog-proof@v1\nindex 4\n" + data)
