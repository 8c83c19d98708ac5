"""The attacks on prompt locks in plain English, for pages and reports. Imports nothing heavy."""

from dataclasses import dataclass

ATTACKS = {
    "plain-images": (
        "The thief gives plain images to the locked model, reads the real classes only, and learns "
        "from a few labelled images what its answers stand for."
    ),
    "random-spells": (
        "With some labelled images, the thief tries random embeddings in the editor and keeps the "
        "one under which the model answers best."
    ),
    "prompt-list": (
        "With some labelled images, the thief tries a list of styles and objects, as anyone would "
        "write them, and keeps the best."
    ),
    "near-texts": (
        "The thief has the key file without its text and tries texts near the right one: typing "
        "errors, synonyms, other endings."
    ),
    "other-settings": (
        "The thief has the right spell and editor, but another seed, number of steps, scheduler, "
        "guidance or share of the blend; these tell which of the settings are part of the key."
    ),
    "other-editors": (
        "The thief has the right spell, but only other editors: the public one, and those of your "
        "organisation."
    ),
    "image-operations": (
        "With some labelled images, the thief tries tints, blurs, noise, tone curves and patterns "
        "of many strengths without any editor, and keeps the best."
    ),
    "matched-moments": (
        "The thief has caught edited images, and gives plain ones their mean and deviation at "
        "every pixel, or their whole covariance."
    ),
    "copied-editor": (
        "The thief has some images both plain and edited, and trains a small network to edit alike."
    ),
    "relaxed-spell": (
        "With some labelled images, the thief finds an embedding by gradient descent through the "
        "editor and the model."
    ),
    "pattern": (
        "With some labelled images, the thief finds a pattern and a mask that put over any image "
        "make the model answer, as triggers of backdoors are found (Neural Cleanse)."
    ),
    "universal-perturbation": (
        "With some labelled images, the thief finds one picture that is added to every image."
    ),
    "learned-unlocker": (
        "With some labelled images, the thief trains a small image-to-image network before the "
        "locked model."
    ),
    "fine-tune": (
        "With plain labelled images, the thief trains the locked model further: whole, its last "
        "layer, or its normalisation alone; beside it stands what he reaches without the model."
    ),
    "distillation": (
        "The thief could use the unlocked model for a while, and trains a fresh model on its "
        "answers; no lock prevents that."
    ),
}
"""What the thief has and does, by the attack's name."""


@dataclass(frozen=True)
class Budget:
    """What the thief spends.

    spells: embeddings, or image operations, tried at random. guess_images: labelled images on which
    each is tried. steps: of gradient descent, from so many starts. labels: his labelled images.
    leaked: edited images that he has caught. pairs: images seen both plain and edited. grid: how
    many labelled images he fine-tunes on, or answers he distils from.
    """

    spells: int
    guess_images: int
    steps: int
    starts: int
    labels: int
    leaked: int
    pairs: int
    grid: tuple[int, ...]


BUDGETS = {
    "quick": Budget(50, 50, 150, 1, 200, 200, 20, (50,)),
    "full": Budget(2_000, 50, 1_000, 3, 200, 1_000, 20, (10, 50, 250, 1_000)),
}
