"""What the methods are called, how each works in a sentence, and what each cannot tell."""

from dataclasses import dataclass

from spellmark.evidence.decision import KEYED_LABELS, RANDOM_KEY_TEST
from spellmark.evidence.mark_rule import DYNAMIC

_WHAT_IT_ASKS = (
    "The test asks whether the suspect depends on this very key. It does not say how the suspect "
    "came by the model, nor who trained it.",
    "A copy whose lock was removed by thorough retraining can answer like an innocent model: "
    "'no match' does not prove independence.",
)
_WHO_VOUCHES = (
    "The p-value holds for one key. What it stands for also rests on a value that the "
    "registry drew after the commitment, so the key was not searched for. An owner who commits to "
    "many keys, protects under one of them again and again, or repeats runs, and claims with the "
    "best result, must be held to p times the number of tries (the certificate counts them as "
    "ownerCommitments, protectionsOfKey and earlierRuns).",
)
_ENDPOINT = "An endpoint can change between two runs; the transcript binds what it answered then."


@dataclass(frozen=True)
class Method:
    """A method in words. `limits` go into certificates."""

    name: str
    sentence: str
    limits: tuple[str, ...]


METHODS = {
    KEYED_LABELS: Method(
        "Keyed labels",
        "A few dozen questions: under your key a copy gives the labels that only the key explains. "
        "For locks with keyed labels.",
        (
            *_WHAT_IT_ASKS,
            "A thief who puts the labels back into their places, which takes a few labelled images "
            "and the key's transform, leaves fewer hits or none: the random-key test still sees "
            "such a copy. One who permutes the labels in another way hides from both.",
            *_WHO_VOUCHES,
            "The p-value rests on this: whoever made the suspect did not know the key's label "
            "permutations. The transcript discloses them, though never the transform: what the "
            "suspect answers after its publication can be made to fit, so later runs under the "
            "same key say less.",
            "That the label permutations belong to the committed key was checked by the registry "
            "that signed this. To check it without that registry, the owner has to open the "
            "commitment to you.",
            _ENDPOINT,
        ),
    ),
    RANDOM_KEY_TEST: Method(
        "Random-key test",
        "Many questions: your key competes with random decoy keys, and only a copy does far better "
        "under yours. For every lock under a key or a spell.",
        (
            *_WHAT_IT_ASKS,
            *_WHO_VOUCHES,
            "That the true slot belongs to the committed key was checked by the registry that "
            "signed this. To check it without that registry, the owner has to open the commitment "
            "to you.",
            _ENDPOINT,
        ),
    ),
    DYNAMIC: Method(
        "Dynamic watermark",
        "A few dozen plain questions: the suspect's probabilities are held against the signs of "
        "your guard's key, and the run ends as soon as enough is known. For guards.",
        (
            "The test asks whether the suspect depends on answers that this guard marked. It does "
            "not say how the suspect came by them, nor who trained it.",
            "The guard changes no label, unless its label channel is on: a copy that was made from "
            "labels alone carries no mark. Nor does one that was trained on answers whose smaller "
            "probabilities were evened out, which costs a thief next to nothing. 'No match' does "
            "not prove independence.",
            *_WHO_VOUCHES,
            "The p-value rests on this: whoever made the suspect met the key's signs in the "
            "guard's answers alone. The transcript discloses the signs that were asked about: "
            "change the guard's key when it is published.",
            "That the signs belong to the committed key, and the reference answers to the "
            "registered model, was checked by the registry that signed this. To check it without "
            "that registry, the owner has to open the commitment, and to show the model.",
            _ENDPOINT,
        ),
    ),
}


def limits(method: str) -> tuple[str, ...]:
    """What a verdict by this method does not say."""
    return METHODS[method].limits


def method_name(method: str) -> str:
    """What people call it."""
    return METHODS[method].name if method in METHODS else method
