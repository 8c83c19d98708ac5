"""What the methods are called, how each works in a sentence, and what each cannot tell."""

from dataclasses import dataclass

from spellmark.evidence.decision import KEYED_LABELS, RANDOM_KEY_TEST
from spellmark.evidence.fingerprint_rule import (
    AGREEMENT,
    CORRELATION,
    FEATURE,
    FEATURE_GRADIENTS,
    WEIGHTS,
)
from spellmark.evidence.mark_rule import DYNAMIC
from spellmark.evidence.trigger_rule import TRIGGER

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
    "ownerCommitments, protectionsOfKey and earlierRuns, the last of this owner’s runs of every "
    "kind).",
)
_ENDPOINT = (
    "An endpoint can change between two runs; the transcript binds what it answered then.",
    "Whose model answers at an endpoint's address is the word of whoever named it. What is told of "
    "it, the address and the TLS certificates that were seen there, does not show who runs it.",
)
_LEAD = (
    "Fingerprints are indicative: nothing was planted in the model, so nothing about them is "
    "secret or random but the choice of probes and the halves of the pool. A match is a lead, "
    "never proof by itself.",
    "A likeness says not who copied from whom: the older registration and other evidence have to.",
    "The p-value holds for suspects that are as independent as the models of the null pool. One "
    "that was made more alike without any copying, say from the owner's own published data, may "
    "come closer than any of them.",
    "That the scores of the null pool belong to the files that it names was checked by the "
    "registry that signed this. What is told is enough to redo the halves, the threshold, the "
    "rank and the false positives.",
)

_STYLED = (
    "An external feature is indicative: the style is secret and was committed to, but how well "
    "innocent models bear it is known from the null pool alone. A match is a lead, never proof by "
    "itself.",
    "The p-value is a rank among the models of the pool, for suspects that are as independent as "
    "they are. A model that was trained on images like these styles for reasons of its own may "
    "bear them better than any of them; the wrong style shows most of those, not all.",
    "It holds for one key. The certificate counts the keys, protections and runs of this owner; "
    "one who picked the best of them must be held to p times their number.",
    "That the style is derived from the committed key, and that the scores of the null pool belong "
    "to the files that it names, was checked by the registry that signed this. What is told is "
    "enough to redo the halves, the thresholds, the ranks and the false positives.",
    "Patent applications describe methods like this one (US 2024/0135211, WO 2023/093346). Take "
    "advice before you rely on it.",
)


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
            *_ENDPOINT,
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
            *_ENDPOINT,
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
            *_ENDPOINT,
        ),
    ),
    TRIGGER: Method(
        "Trigger watermark",
        "A few dozen images that nobody chose: a copy gives them the labels that were drawn for "
        "them, an innocent model cannot. Each run opens fresh ones. For trigger watermarks.",
        (
            "The test asks whether the suspect depends on a model that learnt these triggers. It "
            "does not say how the suspect came by it, nor who trained it.",
            "A copy that was made from answers alone, by labels or by probabilities, never met a "
            "trigger and carries no mark; nor does one that was trained long enough at a high "
            "rate. 'No match' does not prove independence.",
            "The p-value is exact whatever the suspect answers, for every trigger's label is "
            "uniform and independent of all else. It counts the looks of the run, the runs under "
            "the key before it, and the owner's trigger keys before this one.",
            "Images and labels follow from the owner's secret and from a value that the registry "
            "drew after the commitment, so neither was chosen, nor searched for. A secret that was "
            "told to whoever made the suspect proves nothing.",
            "That the triggers are derived from the committed key was checked by the registry that "
            "signed this, byte for byte; anyone can check that they stand under the root that was "
            "registered before. To derive them without that registry, the owner has to open the "
            "commitment to you.",
            "Innocent reference models are asked about the same triggers; the certificate says how "
            "many, under nullPool, and without enough of them nothing is a match. That the "
            "recorded answers are theirs was checked by the registry that signed this.",
            "An endpoint can tell images like these from ordinary ones and refuse or answer them "
            "at random: that is a 'no match' too.",
            *_ENDPOINT,
        ),
    ),
    AGREEMENT: Method(
        "Agreement on mistakes",
        "Plain questions that your model gets wrong: two models that learned alone are wrong in "
        "different ways, a copy is wrong as yours is. Labels are enough. For every version.",
        (
            *_LEAD,
            "A copy that was trained long enough on other images, or extracted through labels, "
            "errs in ways of its own: 'no match' does not prove independence.",
            *_ENDPOINT,
        ),
    ),
    CORRELATION: Method(
        "Correlation of samples",
        "Plain questions: whether the suspect finds the same inputs alike as your model does. "
        "Sees more with probabilities; the classes may differ. For every version.",
        (
            *_LEAD,
            "A copy that was extracted through labels alone was not told from an innocent model of "
            "the same data by anything that was tried: 'no match' does not prove independence.",
            *_ENDPOINT,
        ),
    ),
    FEATURE: Method(
        "External feature",
        "Plain questions in threes: an image as it is, in your secret style, and in a style that "
        "nobody holds. A copy bears yours, innocent models do not. For external features.",
        (
            *_STYLED,
            "A copy that was extracted from answers to plain images never met the style and bears "
            "it no better than others: 'no match' does not prove independence.",
            "The suspect sees images in the style: whoever runs it can learn it, so later runs "
            "under the same key say less.",
            *_ENDPOINT,
        ),
    ),
    FEATURE_GRADIENTS: Method(
        "External feature, by gradients",
        "No questions: whether the suspect’s loss leans as your model’s does at images in your "
        "style, pixel by pixel. For external features and suspects that are files.",
        (
            *_STYLED,
            "A copy leans as the owner's model does in any style. So this tells that a file was "
            "copied and trained on, more than that it knows the style; the wrong style's score "
            "stands beside it.",
            "A model that was trained anew on answers leans in a way of its own: gradients tell of "
            "files that were taken, never of extraction. The scores cannot be redone without the "
            "files and the key.",
        ),
    ),
    WEIGHTS: Method(
        "Weights, layer by layer",
        "No questions: the suspect's file is laid over your version's, units in the order that "
        "fits best, and the layers are compared. For suspects that are files.",
        (
            *_LEAD,
            "A model that was trained anew on answers shares no weights with the one that gave "
            "them: weights tell of files that were taken, never of extraction.",
            "What was done to a copy (fine-tuned, pruned, quantised, merged) is a reading of the "
            "layers, not a test. The comparison itself cannot be redone without both files.",
        ),
    ),
}


def limits(method: str) -> tuple[str, ...]:
    """What a verdict by this method does not say."""
    return METHODS[method].limits


def method_name(method: str) -> str:
    """What people call it."""
    return METHODS[method].name if method in METHODS else method
