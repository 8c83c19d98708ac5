"""Append, prove and verify against the definitions of RFC 6962, written down in twenty lines."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spellmark.certificates import merkle
from spellmark.certificates.errors import VerificationError


def mth(d):
    if not d:
        return hashlib.sha256(b"").digest()
    if len(d) == 1:
        return hashlib.sha256(b"\x00" + d[0]).digest()
    k = 1 << (len(d) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + mth(d[:k]) + mth(d[k:])).digest()


def path(m, d):
    if len(d) == 1:
        return []
    k = 1 << (len(d) - 1).bit_length() - 1
    if m < k:
        return [*path(m, d[:k]), mth(d[k:])]
    return [*path(m - k, d[k:]), mth(d[:k])]


def subproof(m, d, whole):
    if m == len(d):
        return [] if whole else [mth(d)]
    k = 1 << (len(d) - 1).bit_length() - 1
    if m <= k:
        return [*subproof(m, d[:k], whole), mth(d[k:])]
    return [*subproof(m - k, d[k:], False), mth(d[:k])]


class Log:
    """What the platform stores: nodes, each written once."""

    def __init__(self):
        self.entries, self.nodes = [], {}

    def append(self, batch):
        leaves = [merkle.leaf_hash(entry) for entry in batch]
        for level, index, value in merkle.extend(
            len(self.entries), leaves, merkle.reader(self.nodes)
        ):
            assert (level, index) not in self.nodes
            self.nodes[level, index] = value
        self.entries += batch

    def root(self, size):
        return merkle.root(size, merkle.reader(self.nodes))


batches = st.lists(st.lists(st.binary(max_size=6), min_size=1, max_size=12), max_size=8)


@given(batches, st.data())
def test_a_log_in_batches_is_the_tree_of_the_rfc(grown, data):
    log = Log()
    for batch in grown:
        log.append(batch)
        assert log.root(len(log.entries)) == mth(log.entries)
    size = data.draw(st.integers(0, len(log.entries)))
    assert log.root(size) == mth(log.entries[:size])
    if not size:
        return
    get = merkle.reader(log.nodes)
    index = data.draw(st.integers(0, size - 1))
    proof = merkle.inclusion_proof(index, size, get)
    assert proof == path(index, log.entries[:size])
    leaf, root = merkle.leaf_hash(log.entries[index]), log.root(size)
    merkle.verify_inclusion(leaf, index, size, proof, root)
    old = data.draw(st.integers(1, size))
    steps = merkle.consistency_proof(old, size, get)
    assert steps == subproof(old, log.entries[:size], True)
    merkle.verify_consistency(old, size, log.root(old), root, steps)


@given(st.integers(1, 40), st.data())
def test_whatever_is_altered_in_a_proof_is_refused(size, data):
    log = Log()
    log.append([b"%d" % number for number in range(size)])
    get = merkle.reader(log.nodes)
    index = data.draw(st.integers(0, size - 1))
    proof = merkle.inclusion_proof(index, size, get)
    leaf, root = merkle.leaf_hash(log.entries[index]), log.root(size)
    changes = ["leaf", "root", "longer"] + (["shorter", "hash"] if proof else [])
    match data.draw(st.sampled_from(changes)):
        case "leaf":
            leaf = merkle.leaf_hash(b"another")
        case "root":
            root = bytes(32)
        case "longer":
            proof = [*proof, bytes(32)]
        case "shorter":
            proof = proof[:-1]
        case "hash":
            place = data.draw(st.integers(0, len(proof) - 1))
            proof[place] = bytes(a ^ 1 for a in proof[place])
    with pytest.raises(VerificationError):
        merkle.verify_inclusion(leaf, index, size, proof, root)


@given(st.integers(2, 40), st.data())
def test_a_rewritten_entry_breaks_every_later_consistency_proof(size, data):
    old = data.draw(st.integers(1, size - 1))
    rewritten = data.draw(st.integers(0, old - 1))
    honest, fork = Log(), Log()
    entries = [b"%d" % number for number in range(size)]
    honest.append(entries)
    fork.append([*entries[:rewritten], b"x", *entries[rewritten + 1 :]])
    proof = merkle.consistency_proof(old, size, merkle.reader(fork.nodes))
    with pytest.raises(VerificationError):
        merkle.verify_consistency(old, size, honest.root(old), fork.root(size), proof)
