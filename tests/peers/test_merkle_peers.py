"""An independent Merkle tree (pymerkle): the same roots and proofs, and each takes the other's."""

import pytest
from pymerkle import InclusionProof, InmemoryTree, InvalidProof
from pymerkle import verify_consistency as peer_verify_consistency
from pymerkle import verify_inclusion as peer_verify_inclusion

from spellmark.certificates import merkle
from spellmark.certificates.errors import VerificationError

pytestmark = pytest.mark.peer

LARGE = (1_023, 1_024, 1_025, 4_097, 10_000)
SIZES = [pytest.param(range(1, 301), id="1..300"), pytest.param(LARGE, id="large")]


@pytest.fixture(scope="module")
def trees():
    """The same entries in both trees."""
    peer = InmemoryTree(algorithm="sha256")
    leaves = []
    for number in range(max(LARGE)):
        peer.append_entry(b"entry %d" % number)
        leaves.append(merkle.leaf_hash(b"entry %d" % number))
    added = merkle.extend(0, leaves, merkle.reader({}))
    nodes = {(level, index): value for level, index, value in added}
    return peer, merkle.reader(nodes), leaves


@pytest.mark.parametrize("sizes", SIZES)
def test_the_roots_are_the_same(trees, sizes):
    peer, get, _ = trees
    for size in sizes:
        assert merkle.root(size, get) == peer.get_root(size)


@pytest.mark.parametrize("sizes", SIZES)
def test_each_takes_the_others_inclusion_proofs(trees, sizes):
    peer, get, leaves = trees
    for size in sizes:
        root = merkle.root(size, get)
        for index in {0, size // 3, size // 2, size - 1}:
            leaf, ours = leaves[index], merkle.inclusion_proof(index, size, get)
            theirs = peer.prove_inclusion(index + 1, size)
            assert theirs.path == [leaf, *ours]  # theirs begins with the leaf itself
            merkle.verify_inclusion(leaf, index, size, theirs.path[1:], root)
            path = [value.hex() for value in (leaf, *ours)]
            handed_over = InclusionProof.deserialize(theirs.serialize() | {"path": path})
            peer_verify_inclusion(leaf, root, handed_over)
            with pytest.raises(InvalidProof):
                peer_verify_inclusion(leaf, bytes(32), handed_over)
            with pytest.raises(VerificationError):
                merkle.verify_inclusion(leaf, index, size, ours, bytes(32))


@pytest.mark.parametrize("sizes", SIZES)
def test_both_say_that_the_log_only_grew(trees, sizes):
    peer, get, _ = trees
    for size in sizes:
        root = merkle.root(size, get)
        for old in {1, size // 3 or 1, size // 2 or 1, size}:
            old_root = merkle.root(old, get)
            ours = merkle.consistency_proof(old, size, get)
            merkle.verify_consistency(old, size, peer.get_root(old), peer.get_root(size), ours)
            theirs = peer.prove_consistency(old, size)
            peer_verify_consistency(old_root, root, theirs)
            with pytest.raises(InvalidProof):
                peer_verify_consistency(bytes(32), root, theirs)
            with pytest.raises(VerificationError):
                merkle.verify_consistency(old, size, bytes(32), root, ours)
