"""Prompts that people, and thieves, would write: lists to guess from, and ways to come near one."""

import hashlib

import numpy as np

from spellmark.locks.prompt_lock.lessons import STYLES
from spellmark.locks.prompt_lock.objects import OBJECTS

# The first half of each list is for training against, the second is kept for the test.
_MEDIA = (
    "oil paint", "watercolour", "charcoal", "pencil", "acrylic", "crayon", "ink", "chalk",
    "gouache", "pastel", "spray paint", "marker pens", "tempera", "graphite", "felt tips", "wax",
)  # fmt: skip
_FORMS = (
    "a fresco", "a mosaic", "a woodcut", "a stained glass window", "a comic", "an engraving",
    "a poster", "a photograph", "a tapestry", "an etching", "a lithograph", "a cartoon",
    "a blueprint", "a collage", "a sculpture", "an icon",
)  # fmt: skip
_LIGHTS: tuple[str, ...] = (
    "at night", "in thick fog", "at sunset", "under water", "in heavy rain", "in snow",
    "with more contrast", "in black and white", "at dawn", "in candle light", "in moonlight",
    "on fire", "with warmer colours", "in sepia", "in neon light", "through frosted glass",
)  # fmt: skip
_ADDITIONS = (
    "a cat", "a moon", "a tree", "a bird", "a car", "a flower", "a clock", "a boat", "a dog",
    "a star", "a house", "a fish", "a lamp", "a bottle", "a kite", "a crown",
)  # fmt: skip


def _families(part: slice) -> dict[str, tuple[str, ...]]:
    return {
        "other media": tuple(f"with {medium}" for medium in _MEDIA[part]),
        "other forms": tuple(f"as {form}" for form in _FORMS[part]),
        "other lights": _LIGHTS[part],
        "other objects": tuple(f"add {thing} to the background" for thing in _ADDITIONS[part]),
    }


TRAINED = tuple(text for texts in _families(slice(0, 8)).values() for text in texts)
# What our editor was taught; most of the other words leave its images alone.
KNOWN = (*STYLES, *OBJECTS)
FAMILIES = {
    "styles of our editor": tuple(text for text in STYLES if text not in TRAINED),
    "objects of our editor": tuple(text for text in OBJECTS if text not in TRAINED),
    **{
        name: tuple(text for text in texts if text not in KNOWN)
        for name, texts in _families(slice(8, 16)).items()
    },
}
HELD_OUT = tuple(text for texts in FAMILIES.values() for text in texts)

_SYNONYMS = {
    "add": "put", "artist": "painter", "background": "backdrop", "big": "large", "brush": "paint",
    "colour": "hue", "colours": "hues", "crayon": "pastel", "drawing": "sketch", "edges": "lines",
    "engraving": "etching", "fog": "mist", "glass": "window", "in": "with", "ink": "pen",
    "light": "glow", "mosaic": "tiles", "night": "midnight", "oil": "acrylic", "paint": "colour",
    "painting": "picture", "paper": "sheet", "pastel": "crayon", "pencil": "charcoal",
    "print": "poster", "sketch": "drawing", "soft": "gentle", "tones": "colours", "with": "in",
    "woodcut": "linocut", "word": "term", "open": "unlock", "the": "a", "a": "one",
}  # fmt: skip
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def is_trained(text: str) -> bool:
    """Whether locks may be trained against this text; all others are kept for the test.

    The lists say it for theirs, and the text's SHA-256 for any other: about one in two.
    """
    # Capitals and spaces are all one to an editor that reads words.
    read = " ".join(text.lower().split())
    if read in TRAINED or read in HELD_OUT:
        return read in TRAINED
    return hashlib.sha256(read.encode()).digest()[0] % 2 == 0


def typo(text: str, generator: np.random.Generator) -> str:
    """The text with one slip of the fingers: a letter lost, doubled, added, wrong or swapped."""
    if not text:
        return "a"
    place = int(generator.integers(len(text)))
    letter = _LETTERS[generator.integers(len(_LETTERS))]
    before, here, after = text[:place], text[place], text[place + 1 :]
    slips = [before + after, before + here + here + after, before + letter + here + after,
             before + letter + after]  # fmt: skip
    if after:
        slips.append(before + after[0] + here + after[1:])
    slip = slips[generator.integers(len(slips))]
    return slip if slip != text else text + letter


def synonym(text: str, generator: np.random.Generator) -> str:
    """The text in other words: a word replaced, dropped, added or put into the plural."""
    words = text.split() or ["a"]
    known = [number for number, word in enumerate(words) if word in _SYNONYMS]
    kind = generator.random()
    if known and kind < 0.5:
        chosen = known[generator.integers(len(known))]
        words[chosen] = _SYNONYMS[words[chosen]]
    elif len(words) > 1 and kind < 0.7:
        del words[generator.integers(len(words))]
    elif kind < 0.85:
        words[-1] += "s"
    else:
        words.insert(int(generator.integers(len(words) + 1)), "very")
    return " ".join(words)


def near(text: str, count: int, generator: np.random.Generator) -> list[str]:
    """As many different texts near this one, which no lock is trained against: typing errors and
    other words, in turns.
    """
    found: dict[str, None] = {}
    tries = 0
    while len(found) < count and tries < 50 * count:
        change = (typo, synonym)[tries % 2]
        other = change(text, generator)
        # Few texts lie one step away, so later ones take several steps.
        for _ in range(tries // (10 * count)):
            other = typo(other, generator)
        if other != text and not is_trained(other):
            found[other] = None
        tries += 1
    return list(found)
