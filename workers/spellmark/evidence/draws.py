"""What a run draws from its random seed: the probes, the decoys and the true key's slot.

No numpy here: with the seed in the transcript, outsiders redo these draws.
"""

from collections import defaultdict
from collections.abc import Sequence
from itertools import chain, islice, zip_longest

from spellmark.errors import SpellmarkError
from spellmark.locks.key_lock.parameters import SCHEME as KEY_LOCK
from spellmark.locks.labels import label_permutation
from spellmark.secrets import permutation, subkey, uniform

SCHEME = "verification/v1"


class ProbesError(SpellmarkError):
    """Probes that the data cannot give."""


def choose_probes(
    seed: bytes, labels: Sequence[int], *, wanted: int, classes: int | None = None
) -> list[int]:
    """Places of the probe images in the test data, balanced over their classes.

    `labels` are the classes of all test images. The images are taken in a uniform order, one of
    each class in turn, of `classes` classes that are drawn first (None: of all that there are).
    Raises ProbesError when there are fewer images or classes than wanted.
    """
    places = defaultdict(list)
    for place in permutation(_key(seed, "probes"), len(labels)):
        places[int(labels[place])].append(place)
    present = sorted(places)
    if classes is not None and classes > len(present):
        raise ProbesError(
            f"The test images show {len(present)} classes; the run asks for {classes}.",
            hint="Use a data set with images of every class, or the random-key test.",
        )
    order = permutation(_key(seed, "classes"), len(present))[:classes]
    rounds = zip_longest(*(places[present[number]] for number in order))
    chosen = list(islice((p for p in chain.from_iterable(rounds) if p is not None), wanted))
    if len(chosen) < wanted:
        raise ProbesError(
            f"The data set has {len(chosen)} test images to choose from; the run asks for {wanted} "
            "probes.",
            hint="Start a run with fewer probes.",
        )
    return chosen


def true_slot(seed: bytes, decoys: int) -> int:
    """The slot of the true key, uniform in range(decoys + 1), from the run's 32-byte seed."""
    return uniform(_key(seed, "true-slot"), decoys + 1)


def decoy_secret(seed: bytes, number: int) -> bytes:
    """The 32-byte secret of a decoy key."""
    return _key(seed, "decoy", number)


def decoy_labels(seed: bytes, number: int, classes: int) -> list[int]:
    """A decoy's label permutation."""
    secret = decoy_secret(seed, number)
    return label_permutation(secret, scheme=KEY_LOCK, binding=b"", classes=classes)


def _key(seed: bytes, purpose: str, index: int = 0) -> bytes:
    return subkey(seed, binding=b"", scheme=SCHEME, purpose=purpose, index=index)
