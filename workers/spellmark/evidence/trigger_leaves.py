"""Which triggers a run opens, and how an opened one is held against the registered root.

The standard library and the library's own Merkle tree alone: outsiders redo it.
"""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

from spellmark.certificates import merkle
from spellmark.errors import SpellmarkError
from spellmark.secrets import permutation, subkey

DRAWS = "trigger-run/v1"


class LeavesError(SpellmarkError):
    """Triggers that are used up, or that are not those that were registered."""


@dataclass(frozen=True)
class Opening:
    """What shows that a trigger is one of the registered ones.

    label: what a marked model answers. salt: 32 bytes that hide the leaf until then. path: the
    hashes beside the way from the leaf to the root.
    """

    label: int
    salt: bytes
    path: tuple[bytes, ...]

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "label": self.label,
            "salt": self.salt.hex(),
            "path": [node.hex() for node in self.path],
        }

    @classmethod
    def read(cls, values: Any) -> Self:
        """What `as_dict` gave. Raises KeyError, TypeError, ValueError."""
        return cls(
            int(values["label"]),
            bytes.fromhex(values["salt"]),
            tuple(bytes.fromhex(node) for node in values["path"]),
        )


@dataclass(frozen=True)
class TriggerTree:
    """A Merkle tree (RFC 6962) over the hashes of all triggers, in their order."""

    leaves: tuple[bytes, ...]

    @cached_property
    def root(self) -> str:
        """64 hex digits."""
        return merkle.root(len(self.leaves), merkle.reader(self._nodes)).hex()

    def path(self, leaf: int) -> tuple[bytes, ...]:
        """The hashes beside the way from a leaf to the root."""
        return tuple(merkle.inclusion_proof(leaf, len(self.leaves), merkle.reader(self._nodes)))

    @cached_property
    def _nodes(self) -> dict[merkle.Node, bytes]:
        nodes: dict[merkle.Node, bytes] = {}
        for level, index, value in merkle.extend(0, self.leaves, merkle.reader(nodes)):
            nodes[(level, index)] = value
        return nodes


def leaf_hash(leaf: int, salt: bytes, image_sha256: str, label: int) -> bytes:
    """The tree's hash of a trigger: its number, salt, image digest and label."""
    told = leaf.to_bytes(4, "big") + salt + bytes.fromhex(image_sha256) + label.to_bytes(4, "big")
    return merkle.leaf_hash(b"spellmark trigger\0" + told)


def check_opening(opening: Opening, *, leaf: int, size: int, root: str, image_sha256: str) -> None:
    """Raise LeavesError unless the opened trigger stands in the tree under this root."""
    hashed = leaf_hash(leaf, opening.salt, image_sha256, opening.label)
    try:
        merkle.verify_inclusion(hashed, leaf, size, opening.path, bytes.fromhex(root))
    except SpellmarkError as error:
        raise LeavesError(
            f"Trigger {leaf} is not the one that was registered.",
            hint="Only triggers that are derived from the registered key count.",
        ) from error


def draw_leaves(seed: bytes, size: int, used: Collection[int], wanted: int) -> tuple[int, ...]:
    """Fresh triggers for a run, in the order in which they are asked, drawn from its 32-byte seed.

    Of `size` triggers those in `used` were opened before. Raises LeavesError when too few are left.
    """
    order = permutation(subkey(seed, binding=b"", scheme=DRAWS, purpose="leaves"), size)
    gone = set(used)
    fresh = [leaf for leaf in order if leaf not in gone]
    if len(fresh) < wanted:
        raise LeavesError(
            f"{len(fresh)} of {size} triggers are still unopened; the run asks for up to {wanted}.",
            hint="Ask for fewer, or embed a watermark with a new key.",
        )
    return tuple(fresh[:wanted])
