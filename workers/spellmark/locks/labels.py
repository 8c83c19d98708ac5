"""Keyed labels: the permutations of the classes that go with a lock's sub-keys. No numpy here."""

from spellmark.secrets import permutation, subkey


def label_permutation(
    secret: bytes, *, scheme: str, binding: bytes, classes: int, index: int = 0
) -> list[int]:
    """What a lock with keyed labels answers for each class, under sub-key `index`."""
    key = subkey(secret, binding=binding, scheme=scheme, purpose="labels", index=index)
    return permutation(key, classes)


def label_permutations(
    secret: bytes, *, scheme: str, binding: bytes, classes: int, subkeys: int, labels: str
) -> list[list[int]]:
    """The same for every sub-key; the identity where `labels` are plain."""
    if labels == "plain":
        return [list(range(classes))] * subkeys
    return [
        label_permutation(secret, scheme=scheme, binding=binding, classes=classes, index=index)
        for index in range(subkeys)
    ]
