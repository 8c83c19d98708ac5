"""An independent reader of .tlog-proof files, checkpoints and cosignatures (proofbundle)."""

import pytest
from proofbundle.tlogproof import format_tlog_proof, verify_tlog_proof

from spellmark.certificates.tlog_proof import TlogProof
from tests.spellmark.certificates.certificate_samples import (
    COSIGNER,
    DORA,
    LOG,
    ML_DSA_COSIGNER,
    NEXT_LOG,
    ORIGIN,
    SIGNERS,
    Tree,
)

pytestmark = pytest.mark.peer

WITNESSES = [signer.verifier.vkey for signer in (COSIGNER, ML_DSA_COSIGNER, DORA)]


def entries(size: int) -> list[bytes]:
    return [b'{"entry":%d}' % number for number in range(size)]


def said(proof: bytes, entry: bytes, *, key: str = LOG.verifier.vkey) -> dict[str, bool]:
    """What it finds, asked for all three witnesses."""
    found = verify_tlog_proof(
        proof.decode(), entry, key, WITNESSES, threshold=3, expected_origin=ORIGIN
    )
    assert found["ok"] == all(found[f"{part}_ok"] for part in ("log", "witnesses", "inclusion"))
    return {part: found[f"{part}_ok"] for part in ("log", "witnesses", "inclusion")}


@pytest.mark.parametrize("size", [1, 2, 7, 256, 301])
def test_it_accepts_our_proofs_with_every_kind_of_signature(size):
    tree, all_good = Tree.of(*entries(size)), {"log": True, "witnesses": True, "inclusion": True}
    for index in {0, size // 2, size - 1}:
        proof = tree.proof(index, *SIGNERS, DORA)
        assert said(proof, entries(size)[index]) == all_good
        assert said(proof, entries(size)[index], key=NEXT_LOG.verifier.vkey) == all_good


def test_it_refuses_what_was_altered():
    tree, bodies = Tree.of(*entries(7)), entries(7)
    proof = tree.proof(3, *SIGNERS, DORA)
    assert not said(proof, bodies[4])["inclusion"]
    assert not said(proof.replace(b"index 3", b"index 2"), bodies[3])["inclusion"]
    assert not said(proof.replace(b"\n7\n", b"\n8\n"), bodies[3])["log"]
    assert not said(proof, bodies[3], key=COSIGNER.verifier.vkey)["log"]
    assert not said(tree.proof(3, *SIGNERS), bodies[3])["witnesses"]


def test_it_writes_the_very_same_file():
    data = Tree.of(*entries(7)).proof(3, *SIGNERS, DORA)
    proof = TlogProof.loads(data)
    theirs = format_tlog_proof(proof.index, list(proof.hashes), proof.checkpoint.decode())
    assert theirs.encode() == data
