import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spellmark.certificates import merkle
from spellmark.certificates.errors import VerificationError
from spellmark.errors import SpellmarkError
from tests.spellmark.certificates.certificate_samples import Tree

MAX = 300
LEAVES = [merkle.leaf_hash(b"%d" % n) for n in range(MAX)]
TREE = Tree.of(*(b"%d" % n for n in range(MAX)))
# The test vectors of the Certificate Transparency implementations.
CT_ENTRIES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
CT_ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


# RFC 6962, section 2.1, word for word, over lists of leaf hashes.


def split(n: int) -> int:
    k = 1
    while 2 * k < n:
        k *= 2
    return k


def mth(d: list[bytes]) -> bytes:
    if len(d) <= 1:
        return d[0] if d else hashlib.sha256().digest()
    k = split(len(d))
    return hashlib.sha256(b"\x01" + mth(d[:k]) + mth(d[k:])).digest()


def path(m: int, d: list[bytes]) -> list[bytes]:
    if len(d) == 1:
        return []
    k = split(len(d))
    return [*path(m, d[:k]), mth(d[k:])] if m < k else [*path(m - k, d[k:]), mth(d[:k])]


def subproof(m: int, d: list[bytes], b: bool) -> list[bytes]:
    if m == len(d):
        return [] if b else [mth(d)]
    k = split(len(d))
    if m <= k:
        return [*subproof(m, d[:k], b), mth(d[k:])]
    return [*subproof(m - k, d[k:], False), mth(d[:k])]


@st.composite
def sizes(draw: st.DrawFn) -> tuple[int, int]:
    """Two sizes or an index and a size: 0 <= first < second <= MAX."""
    second = draw(st.integers(1, MAX))
    return draw(st.integers(0, second - 1)), second


@pytest.mark.parametrize("size", range(9))
def test_it_gives_the_known_roots(size):
    tree = Tree.of(*CT_ENTRIES[:size])
    assert merkle.root(size, tree.get).hex() == CT_ROOTS[size]


def test_it_gives_a_known_inclusion_proof():
    tree = Tree.of(*CT_ENTRIES)
    assert [value.hex() for value in merkle.inclusion_proof(0, 8, tree.get)] == [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ]


def test_it_gives_a_known_consistency_proof():
    tree = Tree.of(*CT_ENTRIES)
    assert [value.hex() for value in merkle.consistency_proof(6, 8, tree.get)] == [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]


def test_every_root_is_the_one_of_the_rfc():
    for size in range(MAX + 1):
        assert merkle.root(size, TREE.get) == mth(LEAVES[:size])


def test_every_proof_in_small_trees_is_the_one_of_the_rfc():
    for size in range(1, 34):
        for first in range(size):
            assert merkle.inclusion_proof(first, size, TREE.get) == path(first, LEAVES[:size])
            if first:
                expected = subproof(first, LEAVES[:size], True)
                assert merkle.consistency_proof(first, size, TREE.get) == expected


@given(sizes())
def test_inclusion_proofs_are_those_of_the_rfc_and_verify(pair):
    index, size = pair
    proof = merkle.inclusion_proof(index, size, TREE.get)
    assert proof == path(index, LEAVES[:size])
    merkle.verify_inclusion(LEAVES[index], index, size, proof, mth(LEAVES[:size]))


@given(sizes())
def test_consistency_proofs_are_those_of_the_rfc_and_verify(pair):
    old, new = pair
    proof = merkle.consistency_proof(old, new, TREE.get)
    assert proof == (subproof(old, LEAVES[:new], True) if old else [])
    merkle.verify_consistency(old, new, mth(LEAVES[:old]), mth(LEAVES[:new]), proof)


@pytest.mark.parametrize("size", [0, 1, 5, 64])
def test_a_tree_is_consistent_with_itself(size):
    root = mth(LEAVES[:size])
    assert merkle.consistency_proof(size, size, TREE.get) == []
    merkle.verify_consistency(size, size, root, root, [])


def test_no_entry_verifies_at_another_place():
    for size in range(1, 20):
        root = mth(LEAVES[:size])
        for index in range(size):
            proof = path(index, LEAVES[:size])
            for other in range(-1, size + 2):
                if other != index:
                    with pytest.raises(VerificationError):
                        merkle.verify_inclusion(LEAVES[index], other, size, proof, root)


@given(sizes(), st.data())
def test_it_refuses_altered_inclusion_proofs(pair, data):
    index, size = pair
    root, proof = mth(LEAVES[:size]), path(index, LEAVES[:size])
    bad = [([*proof, bytes(32)], LEAVES[index]), (proof, merkle.leaf_hash(b"other"))]
    if proof:
        place = data.draw(st.integers(0, len(proof) - 1))
        bad += [
            (proof[:-1], LEAVES[index]),
            ([*proof[:place], bytes(32), *proof[place + 1 :]], LEAVES[index]),
        ]
    for hashes, leaf in bad:
        with pytest.raises(VerificationError):
            merkle.verify_inclusion(leaf, index, size, hashes, root)


@given(sizes(), st.data())
def test_it_refuses_altered_consistency_proofs(pair, data):
    old, new = pair
    old_root, new_root, proof = mth(LEAVES[:old]), mth(LEAVES[:new]), []
    if old:
        proof = subproof(old, LEAVES[:new], True)
    bad = [([*proof, bytes(32)], old_root, new_root), (proof, bytes(32), new_root)]
    if old:
        place = data.draw(st.integers(0, len(proof) - 1))
        bad += [
            (proof, old_root, bytes(32)),
            (proof[:-1], old_root, new_root),
            ([*proof[:place], bytes(32), *proof[place + 1 :]], old_root, new_root),
        ]
    for hashes, first, second in bad:
        with pytest.raises(VerificationError):
            merkle.verify_consistency(old, new, first, second, hashes)


def test_it_refuses_a_rewritten_log():
    rewritten = [merkle.leaf_hash(b"other"), *LEAVES[1:20]]
    proof = subproof(10, rewritten, True)
    with pytest.raises(VerificationError, match="rewritten"):
        merkle.verify_consistency(10, 20, mth(LEAVES[:10]), mth(rewritten), proof)


def test_it_refuses_a_shrunken_log():
    with pytest.raises(VerificationError, match="cannot follow"):
        merkle.verify_consistency(2, 1, mth(LEAVES[:2]), mth(LEAVES[:1]), [])


def test_it_refuses_to_prove_what_is_not_there():
    with pytest.raises(SpellmarkError):
        merkle.inclusion_proof(5, 5, TREE.get)
    with pytest.raises(SpellmarkError):
        merkle.consistency_proof(6, 5, TREE.get)


@given(sizes())
def test_the_named_nodes_suffice_and_are_few(pair):
    first, size = pair
    for nodes, compute in (
        (merkle.root_nodes(size), lambda get: merkle.root(size, get)),
        (merkle.root_nodes(size), lambda get: merkle.append(size, bytes(32), get)),
        (merkle.inclusion_nodes(first, size), lambda get: merkle.inclusion_proof(first, size, get)),
        (
            merkle.consistency_nodes(first, size),
            lambda get: merkle.consistency_proof(first, size, get),
        ),
    ):
        fetched = {node: TREE.nodes[node] for node in nodes}
        assert compute(merkle.reader(fetched)) == compute(TREE.get)
        assert len(set(nodes)) == len(nodes) <= 2 * size.bit_length()


def test_it_says_which_node_is_missing():
    with pytest.raises(SpellmarkError, match="level 1, index 0"):
        merkle.root(2, merkle.reader({}))


@given(st.integers(0, MAX), st.integers(0, MAX))
def test_leaves_added_together_give_the_same_nodes(first, second):
    old, new = sorted((first, second))
    added = merkle.extend(old, LEAVES[old:new], TREE.get)
    assert all(TREE.nodes[level, index] == value for level, index, value in added)
    complete = {(level, index) for level, index in TREE.nodes if old < (index + 1) << level <= new}
    assert {(level, index) for level, index, _ in added} == complete
    assert len(added) == len(complete)
