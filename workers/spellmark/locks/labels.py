"""Keyed labels: the permutation of the classes that goes with a sub-key. No numpy here."""

from spellmark.secrets import permutation, subkey


def label_permutation(
    secret: bytes, *, scheme: str, binding: bytes, classes: int, index: int = 0
) -> list[int]:
    """What a lock with keyed labels answers for each class, under sub-key `index`."""
    key = subkey(secret, binding=binding, scheme=scheme, purpose="labels", index=index)
    return permutation(key, classes)
