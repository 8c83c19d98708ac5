"""The SHA-256 Merkle tree of RFC 6962, section 2, over stored hashes instead of entries.

A *node* `(level, index)` is the hash of the complete subtree over the entries
`[index * 2**level, (index + 1) * 2**level)`. Nodes never change once they are there, so a log
stores each of them once and serves every root and proof from O(log size) of them.

Every function that reads takes `get(level, index) -> 32 bytes`. To fetch all nodes with one query,
ask the `*_nodes` function beside it first and hand what came back to `reader`.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence

from spellmark.certificates.errors import VerificationError
from spellmark.errors import SpellmarkError

Node = tuple[int, int]
Get = Callable[[int, int], bytes]
Range = tuple[int, int]

EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(entry: bytes) -> bytes:
    """SHA-256(0x00 || entry), 32 bytes."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 || left || right), 32 bytes."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def reader(nodes: Mapping[Node, bytes]) -> Get:
    """A `get` over nodes already fetched. It raises SpellmarkError for a node that is missing."""

    def get(level: int, index: int) -> bytes:
        try:
            return nodes[level, index]
        except KeyError:
            raise SpellmarkError(
                f"The log's tree lacks the hash at level {level}, index {index}.",
                hint="Compare the stored tree with its entries.",
            ) from None

    return get


def root_nodes(size: int) -> list[Node]:
    """The nodes that `root` and `append` read for a tree of `size` entries, left to right."""
    return _cover((0, size))


def root(size: int, get: Get) -> bytes:
    """The root of the first `size` entries."""
    return _range_hash((0, size), get) if size else EMPTY_ROOT


def append(size: int, leaf: bytes, get: Get) -> list[tuple[int, int, bytes]]:
    """The new nodes `(level, index, hash)` when one leaf hash joins a tree of `size` entries."""
    return extend(size, [leaf], get)


def extend(size: int, leaves: Iterable[bytes], get: Get) -> list[tuple[int, int, bytes]]:
    """The new nodes when leaf hashes join in order; reads only `root_nodes(size)`."""
    right_edge = {node[0]: get(*node) for node in root_nodes(size)}
    added: list[tuple[int, int, bytes]] = []
    for position, leaf in enumerate(leaves, start=size):
        level, index, value = 0, position, leaf
        added.append((level, index, value))
        while index % 2:
            value = node_hash(right_edge.pop(level), value)
            level, index = level + 1, index // 2
            added.append((level, index, value))
        right_edge[level] = value
    return added


def inclusion_nodes(index: int, size: int) -> list[Node]:
    """The nodes that `inclusion_proof` reads."""
    return [node for part in _inclusion_ranges(index, size) for node in _cover(part)]


def inclusion_proof(index: int, size: int, get: Get) -> list[bytes]:
    """PATH(index, entries) of RFC 6962, section 2.1.1: from the leaf's sibling up to the root.

    Raises SpellmarkError unless 0 <= index < size.
    """
    return [_range_hash(part, get) for part in _inclusion_ranges(index, size)]


def consistency_nodes(old_size: int, new_size: int) -> list[Node]:
    """The nodes that `consistency_proof` reads."""
    return [node for part in _consistency_ranges(old_size, new_size) for node in _cover(part)]


def consistency_proof(old_size: int, new_size: int, get: Get) -> list[bytes]:
    """PROOF(old_size, entries) of RFC 6962, section 2.1.2; empty for an old size of 0.

    Raises SpellmarkError unless 0 <= old_size <= new_size.
    """
    return [_range_hash(part, get) for part in _consistency_ranges(old_size, new_size)]


def verify_inclusion(
    leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> None:
    """Check that leaf hash `leaf` stands at `index` under `root` (RFC 9162, section 2.1.3.2).

    Raises VerificationError.
    """
    if not 0 <= index < size:
        raise VerificationError(f"Entry {index} does not exist in a log of {size} entries.")
    position, last, value = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise VerificationError("The inclusion proof is too long.")
        if position % 2 or position == last:
            value = node_hash(sibling, value)
            while position % 2 == 0 and position:
                position, last = position >> 1, last >> 1
        else:
            value = node_hash(value, sibling)
        position, last = position >> 1, last >> 1
    if last != 0:
        raise VerificationError("The inclusion proof is too short.")
    if value != root:
        raise VerificationError("The inclusion proof does not lead from the entry to the root.")


def verify_consistency(
    old_size: int, new_size: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Check that the new tree begins with the old one (RFC 9162, section 2.1.4.2).

    Raises VerificationError. The empty tree is consistent with every tree, by an empty proof.
    """
    if not 0 <= old_size <= new_size:
        raise VerificationError(f"A log of {new_size} entries cannot follow one of {old_size}.")
    if old_size in (0, new_size):
        expected = new_root if old_size == new_size else EMPTY_ROOT
        if proof or old_root != expected or (new_size == 0 and new_root != EMPTY_ROOT):
            raise VerificationError("The two roots are not of the same log.")
        return
    path = list(proof)
    if old_size & (old_size - 1) == 0:
        path.insert(0, old_root)
    if not path:
        raise VerificationError("The consistency proof is too short.")
    position, last = old_size - 1, new_size - 1
    while position % 2:
        position, last = position >> 1, last >> 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise VerificationError("The consistency proof is too long.")
        if position % 2 or position == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while position % 2 == 0 and position:
                position, last = position >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        position, last = position >> 1, last >> 1
    if last != 0:
        raise VerificationError("The consistency proof is too short.")
    if old != old_root or new != new_root:
        raise VerificationError("The log was rewritten: the new tree does not begin with the old.")


def _inclusion_ranges(index: int, size: int) -> list[Range]:
    """The entries under each hash of an inclusion proof, in the proof's order."""
    if not 0 <= index < size:
        raise SpellmarkError(f"Entry {index} does not exist in a log of {size} entries.")
    ranges: list[Range] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start = middle
    return ranges[::-1]


def _consistency_ranges(old_size: int, new_size: int) -> list[Range]:
    """The entries under each hash of a consistency proof, in the proof's order."""
    if not 0 <= old_size <= new_size:
        raise SpellmarkError(f"A log of {new_size} entries cannot follow one of {old_size}.")
    if old_size in (0, new_size):
        return []
    ranges: list[Range] = []
    start, end = 0, new_size
    while old_size != end:
        middle = start + _split(end - start)
        if old_size <= middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start = middle
    # Where the old tree is itself a complete subtree the verifier already holds its root.
    if start:
        ranges.append((start, end))
    return ranges[::-1]


def _split(size: int) -> int:
    """The largest power of two below `size`, which is at least 2."""
    return 1 << (size - 1).bit_length() - 1


def _cover(part: Range) -> list[Node]:
    """The complete subtrees that make up a range of the tree's right edge, left to right."""
    start, end = part
    nodes: list[Node] = []
    while start < end:
        level = (end - start).bit_length() - 1
        nodes.append((level, start >> level))
        start += 1 << level
    return nodes


def _range_hash(part: Range, get: Get) -> bytes:
    *left, last = _cover(part)
    value = get(*last)
    for node in reversed(left):
        value = node_hash(get(*node), value)
    return value
